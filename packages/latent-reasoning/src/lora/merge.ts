/**
 * An adapter put into the weights for good.
 *
 *   W ← W + scale · B·A,   token rows into the tables,   whole modules in place of the model's own
 *
 * computed in f32 and rounded to the dtype that the weight has. A quantised weight is refused: merging would round it twice.
 * Memory: beside what is kept, the f32 copies of one matrix.
 */
import { InvalidInputError, type ModelContext, type Qwen2_5_VLConfig, canonicalName } from '@mindseye/qwen-vl';
import {
  type Device,
  type SafetensorsEntry,
  type Tensor,
  type TensorSource,
  type Weight,
  add,
  cast,
  compile,
  evaluate,
  gather,
  isQuantized,
  matmul,
  mul,
  reshape,
  select,
  tensor,
} from '@mindseye/tensor-core';
import { type PeftAdapter, type TrainedRows, embeddingPath, headPath } from './adapter.js';
import { layerSettings } from './config.js';

/** How one tensor of the merged model comes about. */
export interface MergeStep {
  /** Canonical name of the tensor it starts from. */
  readonly from: string;
  /** f32 to f32, lazily. */
  readonly apply: (weight: Tensor) => Tensor;
}

export interface MergePlan {
  /** Of the merged model: with a head of its own where embedding and head no longer agree. */
  readonly config: Qwen2_5_VLConfig;
  /** Tensors that change, by canonical name; all others stay as they are. */
  readonly steps: ReadonlyMap<string, MergeStep>;
}

const [table, head] = [`${embeddingPath}.weight`, `${headPath}.weight`];

/** What an adapter changes in a model of this configuration. Check that it fits first (`checkAdapterFits`). */
export function mergePlan(config: Qwen2_5_VLConfig, adapter: PeftAdapter): MergePlan {
  const { lora, tokenRows, headRows, saved = {}, settings } = adapter;
  const scales = layerSettings(adapter.config, adapter.layout);
  const changes = new Map<string, (weight: Tensor) => Tensor>();
  const change = (name: string, apply: (weight: Tensor) => Tensor): void => {
    const before = changes.get(name);
    changes.set(name, before ? (weight) => apply(before(weight)) : apply);
  };
  for (const [name, value] of Object.entries(saved)) change(name, () => value);
  if (tokenRows) change(table, (weight) => withRows(weight, tokenRows));
  if (headRows) change(head, (weight) => withRows(weight, headRows));
  for (const [path, { a, b }] of Object.entries(lora))
    change(`${path}.weight`, (weight) => add(weight, mul(matmul(b, a), scales.scale(path))));

  const tied = config.tieWordEmbeddings;
  const replacesTable = Object.hasOwn(saved, table) && settings?.['ensure_weight_tying'] !== true;
  const separates = tied && (changes.has(head) || replacesTable);
  if (separates && !changes.has(head)) changes.set(head, (weight) => weight);
  return {
    config: separates ? { ...config, tieWordEmbeddings: false } : config,
    steps: new Map([...changes].map(([name, apply]) => [name, { from: tied && name === head ? table : name, apply }])),
  };
}

/** `weight` [rows, columns] with some rows replaced. */
function withRows(weight: Tensor, { ids, rows }: TrainedRows): Tensor {
  const count = weight.shape[0]!;
  const [index, replaced] = [new Int32Array(count), new Uint8Array(count)];
  ids.forEach((id, i) => {
    index[id] = i;
    replaced[id] = 1;
  });
  const where = tensor(replaced, [count, 1], { dtype: 'bool' });
  return select(where, gather(rows, tensor(index)), weight);
}

/**
 * The model with the adapter in its weights, and without a hook. Weights that do not change are shared with `context`.
 *
 * @throws InvalidInputError when a weight that changes is quantised, or when the context has an adapter already
 */
export async function mergeAdapter(context: ModelContext, adapter: PeftAdapter, device: Device): Promise<ModelContext> {
  if (context.linearHook || context.tokenRows)
    throw new InvalidInputError('the model has an adapter beside its weights: merge into the base model');
  const { config, steps } = mergePlan(context.config, adapter);
  const merged: Record<string, Weight> = { ...context.weights };
  for (const [name, { from, apply }] of steps) {
    const weight = context.weights[from];
    if (!weight) continue;
    if (isQuantized(weight)) throw quantizedError(name);
    merged[name] = await evaluate(cast(apply(cast(weight, 'f32')), weight.dtype), { device });
  }
  return { ...context, config, weights: merged };
}

export interface MergedCheckpoint {
  readonly config: Qwen2_5_VLConfig;
  /** Every tensor under the name it has in the source, for `saveCheckpoint`; computed when it is asked for. */
  readonly entries: readonly SafetensorsEntry[];
  /** How many tensors of the source change. */
  readonly changed: number;
}

const floats: readonly string[] = ['F32', 'F16', 'BF16', 'F64'];

/**
 * A checkpoint with an adapter merged into it, one tensor at a time: nothing but headers is read before an entry is asked for
 * its data. The source has to stay open until then.
 *
 * @throws InvalidInputError when a tensor that changes is quantised
 */
export function mergeCheckpoint(
  source: TensorSource,
  config: Qwen2_5_VLConfig,
  adapter: PeftAdapter,
  device: Device,
): MergedCheckpoint {
  const plan = mergePlan(config, adapter);
  const stored = new Map(source.names().map((name) => [canonicalName(name), name]));
  const made = [...plan.steps].flatMap(([name, { from, apply }]) => {
    const origin = stored.get(from);
    return origin === undefined ? [] : [mergedEntry(source, stored.get(name) ?? name, origin, apply, device)];
  });
  const changed = new Set(made.map(({ name }) => name));
  // A tied head that is stored beside its table would be of the table as it was.
  const isStale = (name: string): boolean => plan.config.tieWordEmbeddings && canonicalName(name) === head;
  const kept = source.names().filter((name) => !changed.has(name) && !isStale(name));
  return {
    config: plan.config,
    entries: [...kept.map((name) => copied(source, name)), ...made],
    changed: changed.size,
  };
}

function mergedEntry(
  source: TensorSource,
  name: string,
  origin: string,
  apply: MergeStep['apply'],
  device: Device,
): SafetensorsEntry {
  const { dtype, shape } = source.info(origin);
  if (!floats.includes(dtype)) throw quantizedError(name);
  return {
    name,
    dtype: dtype === 'F64' ? 'F32' : dtype,
    shape,
    data: async () => {
      const run = compile((weight: Tensor) => reshape(apply(weight), shape), { device, name: `merging ${name}` });
      const merged = await run(tensor(await source.readFloat32(origin), shape));
      return (await merged.data(device)) as Float32Array;
    },
  };
}

const copied = (source: TensorSource, name: string): SafetensorsEntry => {
  const { dtype, shape } = source.info(name);
  return { name, dtype, shape, data: async () => (await source.read(name)).data };
};

const quantizedError = (name: string): InvalidInputError =>
  new InvalidInputError(
    `${name} is quantised, and an adapter cannot be merged into it: merge into the dense checkpoint and quantise the result`,
  );
