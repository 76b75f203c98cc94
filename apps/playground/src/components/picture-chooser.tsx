import type { JSX } from 'preact';
import { SCENE_COUNT } from '../state/scenes.js';
import type { ViewProps } from './view.js';

/** Pictures to ask about: a generated scene by its number, the examples, or a file of one's own. */
export function PictureChooser({ state, actions }: ViewProps): JSX.Element {
  return (
    <div class="chooser">
      <div class="row">
        <button type="button" onClick={() => void actions.nextScene()}>
          New scene
        </button>
        <label class="scene-number">
          Seed
          <input
            type="number"
            inputMode="numeric"
            min={0}
            max={SCENE_COUNT - 1}
            value={state.sceneIndex}
            onChange={({ currentTarget }) => void actions.openScene(currentTarget.valueAsNumber)}
          />
        </label>
      </div>
      <div class="row">
        {state.catalog.pictures.map((picture) => (
          <button key={picture.name} type="button" onClick={() => void actions.openPicture(picture)}>
            Example {picture.name}
          </button>
        ))}
        <FileButton onFile={(file) => void actions.openPicture({ kind: 'file', file })} />
      </div>
      <p class="hint">Or drop a picture on the page.</p>
    </div>
  );
}

function FileButton({ onFile }: { readonly onFile: (file: File) => void }): JSX.Element {
  return (
    <label class="button">
      Your own picture…
      <input
        type="file"
        accept="image/*"
        class="visually-hidden"
        onChange={({ currentTarget }) => {
          const file = currentTarget.files?.[0];
          if (file) onFile(file);
          // The same file can be chosen again.
          currentTarget.value = '';
        }}
      />
    </label>
  );
}
