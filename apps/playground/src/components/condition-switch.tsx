import type { JSX } from 'preact';
import { conditions } from './conditions.js';
import type { ViewProps } from './view.js';

/** How to answer. Once a question has been asked, a switch asks it again; each choice shows what it answered. */
export function ConditionSwitch({ state, actions }: ViewProps): JSX.Element {
  const chosen = conditions.find(({ condition }) => condition === state.condition)!;
  return (
    <fieldset class="switch" disabled={state.running !== null} aria-describedby="condition-explanation">
      <legend>Condition</legend>
      <div class="segments">
        {conditions.map(({ condition, label }) => (
          <label key={condition}>
            <input
              type="radio"
              name="condition"
              value={condition}
              checked={condition === state.condition}
              onChange={() => void actions.chooseCondition(condition)}
            />
            <span>
              {label}
              {state.answers[condition] && <output class="chip">{shortened(state.answers[condition].text)}</output>}
            </span>
          </label>
        ))}
      </div>
      <p id="condition-explanation" class="hint">
        {chosen.explanation}
      </p>
    </fieldset>
  );
}

const shortened = (text: string): string => (text.length > 4 ? `${text.slice(0, 3)}…` : text);
