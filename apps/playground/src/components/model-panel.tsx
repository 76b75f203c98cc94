import type { JSX } from 'preact';
import { MODEL_FOLDER } from '../state/catalog.js';
import type { ModelState } from '../state/state.js';
import type { ModelSource } from '../worker/protocol.js';
import { FolderButton } from './folder-button.js';
import type { ViewProps } from './view.js';

/** Weights of every page that draws its own: one seed, one model. */
const RANDOM_MODEL: ModelSource = { kind: 'random', seed: 0 };

/** Which model is open, or why none is, and the way to another. */
export function ModelPanel({ state: { model, catalog }, actions }: ViewProps): JSX.Element {
  const source = 'source' in model ? model.source : null;
  const trained = catalog.model;
  return (
    <div class="model">
      <h2>Model</h2>
      <ModelStatus model={model} />
      {model.status !== 'starting' && source?.kind !== 'random' && (
        <button type="button" onClick={() => void actions.openModel(RANDOM_MODEL)}>
          Build a random model
        </button>
      )}
      {trained && source !== trained && (
        <button type="button" onClick={() => void actions.openModel(trained)}>
          Open the trained model
        </button>
      )}
      {model.status !== 'starting' && <FolderButton onChoose={(choose) => void actions.chooseModel(choose)} />}
    </div>
  );
}

type StatusViews = { readonly [S in ModelState['status']]: (model: Extract<ModelState, { status: S }>) => JSX.Element };

const statusViews: StatusViews = {
  starting: () => <p role="status">Looking for a model…</p>,
  missing: () => (
    <p role="status" class="notice">
      There is no trained model beside this page (<code>{MODEL_FOLDER}</code>). A tiny model with random weights can be
      built here instead: a real forward pass, with noise for an answer.
    </p>
  ),
  loading: Loading,
  failed: () => <p role="status">The model could not be opened.</p>,
  ready: Facts,
};

function ModelStatus<S extends ModelState['status']>({
  model,
}: {
  readonly model: Extract<ModelState, { status: S }>;
}): JSX.Element {
  return statusViews[model.status as S](model);
}

function Loading({ source, progress }: Extract<ModelState, { status: 'loading' }>): JSX.Element {
  return (
    <p role="status">
      {source.kind === 'random' ? 'Building a random model…' : 'Loading the model…'}
      <progress aria-label="Loading" {...(progress && { value: progress.done, max: progress.total })} />
    </p>
  );
}

type SourceNames = {
  readonly [K in ModelSource['kind']]: (source: Extract<ModelSource, { kind: K }>) => string;
};

const names: SourceNames = {
  files: () => 'tiny-livr, trained to count',
  folder: ({ name }) => `${name}, from this machine`,
  random: ({ seed }) => `random weights, seed ${seed}`,
};

function Facts({ source, summary }: Extract<ModelState, { status: 'ready' }>): JSX.Element {
  const facts: readonly (readonly [string, string])[] = [
    ['Name', names[source.kind](source as never)],
    [
      'Parameters',
      `${summary.parameters.toLocaleString('en')} + ${summary.adapterParameters.toLocaleString('en')} adapter`,
    ],
    ['Latent tokens', String(summary.latents)],
    ['Device', summary.device],
  ];
  return (
    <>
      <dl class="fact-list">
        {facts.map(([term, value]) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {source.kind === 'random' && <p class="notice">Random weights: its answers and its map are noise.</p>}
    </>
  );
}
