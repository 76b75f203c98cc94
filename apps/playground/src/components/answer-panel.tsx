import { parseInteger } from '@mindseye/eval';
import type { JSX } from 'preact';
import { goldOf } from '../state/state.js';
import type { AnswerSummary } from '../worker/protocol.js';
import type { ViewProps } from './view.js';

/** The answer as it grows, then how it was come by, and whether it is right where that is known. */
export function AnswerPanel({ state }: ViewProps): JSX.Element {
  const { running } = state;
  const answer = running ? undefined : state.answers[state.condition];
  const text = running?.text ?? answer?.text;
  const gold = goldOf(state);
  return (
    <div class="answer">
      <h2>Answer</h2>
      <p class={`answer-text ${sizeOf(text)}`} aria-live="polite" aria-busy={running !== null}>
        {text === undefined ? 'Ask to see it here.' : visible(text, running === null)}
        {running && <span class="caret" aria-hidden="true" />}
      </p>
      {answer && (
        <p class="facts">
          {gold !== undefined && <Verdict answer={answer} gold={gold} />}
          <span>{`${answer.tokens} ${answer.tokens === 1 ? 'token' : 'tokens'}`}</span>
          <span>{duration(answer.milliseconds)}</span>
          {state.model.status === 'ready' && <span>{state.model.summary.device}</span>}
        </p>
      )}
    </div>
  );
}

function Verdict({ answer, gold }: { readonly answer: AnswerSummary; readonly gold: string }): JSX.Element {
  const isRight = parseInteger(answer.text) === gold;
  return (
    <strong class={isRight ? 'right' : 'wrong'}>{isRight ? `Right: it is ${gold}` : `Wrong: it is ${gold}`}</strong>
  );
}

const duration = (milliseconds: number): string =>
  milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;

/** Text on one line: control characters are shown, not obeyed. */
const visible = (text: string, isWhole: boolean): string =>
  text === '' && isWhole
    ? '(no text)'
    : text.replaceAll(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));

/** A number is set large, a sentence is not. */
const sizeOf = (text: string | undefined): string =>
  text === undefined ? 'empty' : text.length > 12 ? 'long' : 'short';
