/**
 * A model with an adapter beside its weights, as a pure function of both.
 *
 *   y = W·x + b + Σᵢ wᵢ·scaleᵢ·Bᵢ·(Aᵢ·x)     one call for each adapter i with its weight wᵢ
 *
 * No weight is copied and nothing is computed. Factors are scalar tensors, not numbers in the graph, so adapters of the same
 * shapes on the same layers share their compiled plans whatever their α is.
 */
import { InvalidInputError, type LinearHook, type ModelContext, type RowRun } from '@mindseye/qwen-vl';
import { type Tensor, add, concat, embedding, gather, tensor } from '@mindseye/tensor-core';
import { type PeftAdapter, type TrainedRows, embeddingPath, headPath } from './adapter.js';
import { layerSettings } from './config.js';
import { loraDelta } from './lora.js';

/** Rows that trained tokens may lie apart: the table of a running model has one run of replaced rows. */
const widestSpan = 16_384;

const mergeInstead = 'merge the adapter into the checkpoint instead';

/**
 * The model that `context` becomes with an adapter; with a weight other than 1 a part or a multiple of it. Call it again on
 * the result for another adapter beside it.
 *
 * @throws InvalidInputError for what a running model cannot take (trained tokens far apart), for whole modules and token rows with a weight other than 1, and for token rows of two adapters
 */
export function withAdapter(context: ModelContext, adapter: PeftAdapter, weight = 1): ModelContext {
  const { tokenRows, headRows, saved = {} } = adapter;
  const hasRows = tokenRows !== undefined || headRows !== undefined;
  if ((hasRows || Object.keys(saved).length > 0) && weight !== 1)
    throw new InvalidInputError(
      `the adapter replaces ${hasRows ? 'token rows' : Object.keys(saved)[0]}, which cannot be done by ${weight}: use the weight 1`,
    );
  if (hasRows && (context.tokenRows || context.headRows))
    throw new InvalidInputError(`two active adapters replace token rows: activate one, or ${mergeInstead}`);
  const replaced = withSavedModules(context, adapter);
  return {
    ...replaced,
    linearHook: beside(context.linearHook, adapterHook(adapter, weight)),
    ...(tokenRows && { tokenRows: { ...consecutive(replaced, tokenRows, embeddingPath), head: 'tied' } }),
    ...(headRows && { headRows: consecutive(replaced, headRows, headPath) }),
  };
}

type Delta = (path: string, x: Tensor) => Tensor | undefined;

function adapterHook({ lora, config, layout }: PeftAdapter, weight: number): Delta {
  const settings = layerSettings(config, layout);
  const factors = new Map<number, Tensor>();
  const factorOf = (path: string): Tensor => {
    const value = settings.scale(path) * weight;
    let factor = factors.get(value);
    if (!factor) factors.set(value, (factor = tensor(Float32Array.of(value), [])));
    return factor;
  };
  return (path, x) => {
    const pair = lora[path];
    return pair && loraDelta(x, pair, factorOf(path));
  };
}

/** The layer as it was before, with what is added to its output. */
const beside =
  (before: LinearHook | undefined, delta: Delta): LinearHook =>
  (path, x, base) => {
    const y = before ? before(path, x, base) : base(x);
    const added = delta(path, x);
    return added ? add(y, added) : y;
  };

/**
 * Whole modules in place of the model's own. PEFT wraps the embedding and a tied head one by one, so a model of which only one
 * of the two is replaced has a head of its own from then on, unless the adapter ties them (`ensure_weight_tying`).
 */
export function withSavedModules(context: ModelContext, { saved = {}, settings }: PeftAdapter): ModelContext {
  if (Object.keys(saved).length === 0) return context;
  const [table, head] = [`${embeddingPath}.weight`, `${headPath}.weight`];
  const separates =
    context.config.tieWordEmbeddings &&
    (Object.hasOwn(saved, head) || (Object.hasOwn(saved, table) && settings?.['ensure_weight_tying'] !== true));
  return {
    ...context,
    weights: { ...context.weights, ...(separates && { [head]: context.weights[table]! }), ...saved },
    ...(separates && { config: { ...context.config, tieWordEmbeddings: false } }),
  };
}

/** Trained rows as one run of ids, with the own rows of the table `path` between them. */
function consecutive(context: ModelContext, { ids, rows }: TrainedRows, path: string): RowRun {
  const firstId = Math.min(...ids);
  const span = Math.max(...ids) - firstId + 1;
  if (span > widestSpan)
    throw new InvalidInputError(
      `the adapter trains tokens ${firstId} to ${firstId + span - 1}, more than ${widestSpan} apart: ${mergeInstead}`,
    );
  if (ids.every((id, i) => id === firstId + i)) return { firstId, rows };
  const place = new Map(ids.map((id, i) => [id, i]));
  const between = Array.from({ length: span }, (_, i) => firstId + i).filter((id) => !place.has(id));
  between.forEach((id, i) => place.set(id, ids.length + i));
  const table = context.weights[`${path}.weight`] ?? context.weights[`${embeddingPath}.weight`]!;
  const all = between.length > 0 ? concat([rows, embedding(table, tensor(Int32Array.from(between)))], 0) : rows;
  const order = Int32Array.from({ length: span }, (_, i) => place.get(firstId + i)!);
  return { firstId, rows: gather(all, tensor(order)) };
}
