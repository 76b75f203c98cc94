import type { JSX } from 'preact';
import { canAsk } from '../state/state.js';
import type { ViewProps } from './view.js';

/** The question, and the button that asks it; Enter asks too. */
export function QuestionForm({ state, actions }: ViewProps): JSX.Element {
  const submit = (event: Event): void => {
    event.preventDefault();
    void actions.ask();
  };
  const submitOnEnter = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) submit(event);
  };
  const isRunning = state.running !== null;
  return (
    <form class="question" onSubmit={submit}>
      <label for="question">Question</label>
      <textarea
        id="question"
        rows={2}
        maxLength={2000}
        readOnly={isRunning}
        value={state.question}
        onInput={({ currentTarget }) => actions.setQuestion(currentTarget.value)}
        onKeyDown={submitOnEnter}
      />
      {isRunning ? (
        <button key="stop" type="button" onClick={() => void actions.stop()}>
          Stop
        </button>
      ) : (
        <button key="ask" type="submit" class="primary" disabled={!canAsk(state)}>
          Ask
        </button>
      )}
    </form>
  );
}
