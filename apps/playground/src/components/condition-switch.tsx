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

/** An answer that fits into the switch. */
const shortened = (text: string): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > 4 ? `${line.slice(0, 3)}…` : line || '–';
};
