import type { JSX } from 'preact';
import { MODEL_FOLDER } from '../state/catalog.js';
import type { ModelState } from '../state/state.js';
import type { LoadProgress, ModelSource, ModelSummary } from '../worker/protocol.js';
import { FolderButton } from './folder-button.js';
import { HubForm } from './hub-form.js';
import { size } from './size.js';
import type { ViewProps } from './view.js';

/** Weights of every page that draws its own: one seed, one model. */
const RANDOM_MODEL: ModelSource = { kind: 'random', seed: 0 };

/** Which model is open, or why none is, and the ways to another. */
export function ModelPanel({ state, actions }: ViewProps): JSX.Element {
  const { model, catalog } = state;
  const source = 'source' in model ? model.source : null;
  const trained = catalog.model;
  return (
    <div class="model">
      <h2>Model</h2>
      <ModelStatus model={model} />
      {model.status === 'loading' && (
        <button type="button" onClick={() => actions.stopOpening()}>
          Stop
        </button>
      )}
      {model.status !== 'starting' && (
        <>
          <div class="row">
            {trained && source !== trained && (
              <button type="button" onClick={() => void actions.openModel(trained)}>
                Open the trained model
              </button>
            )}
            <FolderButton onChoose={(choose) => void actions.chooseModel(choose)} />
            {source?.kind !== 'random' && (
              <button type="button" onClick={() => void actions.openModel(RANDOM_MODEL)}>
                Build a random model
              </button>
            )}
          </div>
          <p class="hint">Or drop a model’s folder on the page.</p>
          <HubForm state={state} actions={actions} />
        </>
      )}
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
  stopped: ({ source }) => (
    <p role="status">
      Stopped.{source.kind === 'hub' && ' What has been fetched is kept: opening it again goes on from there.'}
    </p>
  ),
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
      {progress ? steps[progress.step](progress) : waiting[source.kind]}
      <progress aria-label="Loading" {...(progress && { value: progress.done, max: progress.total })} />
    </p>
  );
}

/** What is said before there is any progress to tell of. */
const waiting: Readonly<Record<ModelSource['kind'], string>> = {
  files: 'Loading the model…',
  folder: 'Loading the model…',
  hub: 'Opening the model…',
  random: 'Building a random model…',
};

const steps: Readonly<Record<LoadProgress['step'], (progress: LoadProgress) => string>> = {
  fetching: ({ done, total }) => `Fetching: ${size(done)} of ${size(total)}`,
  reading: ({ done, total }) => `Loading the model: ${size(done)} of ${size(total)}`,
};

type SourceNames = {
  readonly [K in ModelSource['kind']]: (source: Extract<ModelSource, { kind: K }>) => string;
};

const names: SourceNames = {
  files: () => 'tiny-livr, trained to count',
  folder: ({ name }) => `${name}, from this machine`,
  hub: ({ name }) => name,
  random: ({ seed }) => `random weights, seed ${seed}`,
};

const parameters = ({ parameters: own, adapterParameters: added }: ModelSummary): string =>
  own.toLocaleString('en') + (added > 0 ? ` + ${added.toLocaleString('en')} adapter` : '');

function Facts({ source, summary }: Extract<ModelState, { status: 'ready' }>): JSX.Element {
  const facts: readonly (readonly [string, string])[] = [
    ['Name', names[source.kind](source as never)],
    ['Parameters', parameters(summary)],
    ['Weights in memory', size(summary.weightBytes)],
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
