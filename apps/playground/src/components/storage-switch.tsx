import type { JSX } from 'preact';
import type { WeightStorage } from '../worker/protocol.js';
import type { ViewProps } from './view.js';

interface StorageText {
  readonly storage: WeightStorage;
  readonly label: string;
  readonly hint: string;
}

const storageTexts: readonly StorageText[] = [
  { storage: 'stored', label: 'As stored', hint: 'As the files have them, 16 bits a number in most models.' },
  { storage: 'int8', label: 'int8', hint: 'About half of 16 bits; answers hardly change.' },
  { storage: 'int4', label: 'int4', hint: 'About a third of 16 bits; answers change a little.' },
];

/** What the weights of the language model are kept in. Another choice opens the model again so. */
export function StorageSwitch({ state, actions }: ViewProps): JSX.Element {
  const isRandom = 'source' in state.model && state.model.source.kind === 'random';
  const chosen = storageTexts.find(({ storage }) => storage === state.storage)!;
  return (
    <fieldset class="switch" aria-describedby="storage-explanation">
      <legend>Weights</legend>
      <div class="segments">
        {storageTexts.map(({ storage, label }) => (
          <label key={storage}>
            <input
              type="radio"
              name="storage"
              value={storage}
              checked={storage === state.storage}
              onChange={() => void actions.chooseStorage(storage)}
            />
            <span>{label}</span>
          </label>
        ))}
      </div>
      <p id="storage-explanation" class="hint">
        {isRandom ? 'Random weights stay as they are drawn, in f32.' : chosen.hint}
      </p>
    </fieldset>
  );
}
