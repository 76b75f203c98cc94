/**
 * What a question about an image costs a model of true size: the vision tower, the prompt, and tokens one by one.
 *
 *   vision    patches [1, n, C·T·P·P] → visual tokens [n / 4, hidden]
 *   prefill   ids [1, S], visual tokens, an empty cache → the next id, and the cache with S rows
 *   decode    the last id and the cache → the next id, and the cache with one row more
 *
 * The cache is donated from call to call; the head is applied to the last position only.
 */
import {
  type GridThw,
  type KeyValueCache,
  type ModelContext,
  type SequenceOperands,
  type VisionOperands,
  embedTokens,
  headForward,
  languageForward,
  sequenceOperands,
  visionForward,
  visionOperands,
} from '@mindseye/qwen-vl';
import {
  type CompiledFunction,
  type Device,
  type Plan,
  type Tensor,
  argmax,
  compile,
  evaluate,
  flopsOf,
  full,
  mask,
  reshape,
  slice,
  tensor,
} from '@mindseye/tensor-core';

export interface PromptSizes {
  readonly grid: GridThw;
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** What is known about a program before it runs. */
export type ProgramFacts = {
  /** Of the shapes: attention counts every pair of tokens, whether a mask hides it or not. */
  readonly gigaflopUnmasked: number;
  readonly steps: number;
  readonly arenaBytes: number;
  readonly peakBytes: number;
  /** Steps by op: an op that the device has no kernel for would show as the primitives it is made of. */
  readonly ops: Readonly<Record<string, number>>;
};

export interface Programs {
  readonly facts: Readonly<Record<'vision' | 'prefill' | 'decode', ProgramFacts>>;
  encode(): Promise<Tensor>;
  /** @returns the next id; the cache is kept inside. */
  prefill(visualTokens: Tensor): Promise<number>;
  decode(id: number): Promise<number>;
  /** Starts over with an empty cache. */
  reset(): Promise<void>;
}

type Answer = readonly [next: Tensor, cache: KeyValueCache];

export async function openPrograms(
  context: ModelContext,
  device: Device,
  { grid, promptTokens, newTokens }: PromptSizes,
): Promise<Programs> {
  const { textConfig, visionConfig, imageTokenId } = context.config;
  const capacity = Math.ceil((promptTokens + newTokens + 1) / 64) * 64;
  const emptyCache = (): Promise<KeyValueCache> => {
    const rows = (): Tensor[] =>
      Array.from({ length: textConfig.numHiddenLayers }, () =>
        full([1, textConfig.numKeyValueHeads, capacity, textConfig.headDim], 0),
      );
    return evaluate({ keys: rows(), values: rows() }, { device });
  };

  const encode = compile(
    (pixelValues: Tensor, operands: VisionOperands) => {
      const { tokens } = visionForward(context, pixelValues, operands);
      return reshape(tokens, [-1, tokens.shape[2]!]);
    },
    { device, name: 'the vision tower' },
  );
  const read = compile(
    (cache: KeyValueCache, operands: SequenceOperands, cacheLength: Tensor, visualTokens: Tensor | null): Answer => {
      const { inputIds, isVisual, visualIndex, cos, sin } = operands;
      const visual = visualTokens ? { rows: visualTokens, where: isVisual, index: visualIndex } : undefined;
      const outputs = languageForward(context, {
        inputsEmbeds: embedTokens(context, inputIds, visual),
        cos,
        sin,
        mask: mask.causal(cacheLength),
        cache,
        cacheLength,
      });
      const last = slice(outputs.hidden, 1, -1);
      return [reshape(argmax(headForward(context, last)), [1]), outputs.cache!];
    },
    { device, donate: [0], name: 'reading tokens' },
  );

  const patches = grid[0] * grid[1] * grid[2];
  const { inChannels, temporalPatchSize, patchSize, spatialMergeSize } = visionConfig;
  const patchWidth = inChannels * temporalPatchSize * patchSize ** 2;
  const pixels = tensor(
    Float32Array.from({ length: patches * patchWidth }, (_, i) => Math.sin(i * 0.7)),
    [1, patches, patchWidth],
  );
  const visionInputs = visionOperands(visionConfig, grid, 1);
  const visual = patches / spatialMergeSize ** 2;
  const text = (at: number): number => 1 + ((at * 7919) % (imageTokenId - 1));
  const before = Math.max(1, Math.floor((promptTokens - visual) / 4));
  const ids = Int32Array.from({ length: promptTokens }, (_, at) =>
    at >= before && at < before + visual ? imageTokenId : text(at),
  );
  const prompt = sequenceOperands(context.config, [{ inputIds: ids, grids: [grid] }]);
  const next = (id: number, position: number): SequenceOperands =>
    sequenceOperands(context.config, [
      { inputIds: [id], grids: [], positions: Int32Array.of(position, position, position) },
    ]);

  let cache = await emptyCache();
  let cached = 0;
  const step = async (operands: SequenceOperands, visualTokens: Tensor | null): Promise<number> => {
    const answer: Answer = await read(cache, operands, tensor(Int32Array.of(cached)), visualTokens);
    cache = answer[1];
    cached += operands.inputIds.shape[1]!;
    return answer[0].item(device);
  };
  const zero = tensor(Int32Array.of(0));
  const features = full([visual, textConfig.hiddenSize], 0);
  return {
    facts: {
      vision: factsOf(encode, pixels, visionInputs),
      prefill: factsOf(read, cache, prompt, zero, features),
      decode: factsOf(read, cache, next(1, promptTokens), zero, null),
    },
    encode: () => encode(pixels, visionInputs),
    prefill: (visualTokens) => step(prompt, visualTokens),
    decode: (id) => step(next(id, cached), null),
    async reset() {
      cache = await emptyCache();
      cached = 0;
    },
  };
}

/** Plans and lowers a program, so that running it measures nothing but the run. */
function factsOf<Arguments extends readonly unknown[]>(
  program: CompiledFunction<Arguments, unknown>,
  ...args: Arguments
): ProgramFacts {
  const plan: Plan = program.plan(...args);
  const ops: Record<string, number> = {};
  for (const { op } of plan.steps) ops[op.name] = (ops[op.name] ?? 0) + 1;
  return {
    gigaflopUnmasked: plan.steps.reduce((sum, each) => sum + flopsOf(each, plan.values), 0) / 1e9,
    steps: plan.steps.length,
    arenaBytes: plan.arena.byteLength,
    peakBytes: plan.peakBytes,
    ops,
  };
}
