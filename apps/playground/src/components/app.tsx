import type { JSX } from 'preact';
import type { Actions } from '../state/actions.js';
import type { Store } from '../state/store.js';
import { useStore } from '../state/use-store.js';
import { AnswerPanel } from './answer-panel.js';
import { ConditionSwitch } from './condition-switch.js';
import { DeviceSwitch } from './device-switch.js';
import { dropHandlers } from './drop.js';
import { ErrorLine } from './error-line.js';
import { ModelPanel } from './model-panel.js';
import { PictureChooser } from './picture-chooser.js';
import { PicturePanel } from './picture-panel.js';
import { QuestionForm } from './question-form.js';
import { StorageSwitch } from './storage-switch.js';

export interface AppProps {
  readonly store: Store;
  readonly actions: Actions;
}

export function App({ store, actions }: AppProps): JSX.Element {
  const view = { state: useStore(store), actions };
  return (
    <div class="page" {...dropHandlers(actions)}>
      <header class="masthead">
        <h1>Mind’s Eye</h1>
        <p>
          A vision-language model that thinks in latent visual tokens before it answers. It runs in this tab; pictures
          never leave it.
        </p>
      </header>
      <ErrorLine {...view} />
      <main class="columns">
        <section class="card" aria-label="Picture">
          <PicturePanel {...view} />
          <PictureChooser {...view} />
        </section>
        <div class="stack">
          <section class="card" aria-label="Question and answer">
            <QuestionForm {...view} />
            <ConditionSwitch {...view} />
            <AnswerPanel {...view} />
          </section>
          <section class="card" aria-label="Model and device">
            <ModelPanel {...view} />
            <DeviceSwitch {...view} />
            <StorageSwitch {...view} />
          </section>
        </div>
      </main>
    </div>
  );
}
