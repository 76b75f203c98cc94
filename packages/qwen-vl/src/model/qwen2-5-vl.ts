/**
 * Qwen2.5-VL as one object: configuration and weights on a device, images in, text out.
 *
 * Source: transformers `Qwen2_5_VLForConditionalGeneration`.
 */
import { type Device, type Tensor, compile, concat, reshape, slice } from '@mindseye/tensor-core';
import { type GeneratedSequence, collectSequences } from '../generate/collect.js';
import { type Decoder, createDecoder } from '../generate/decode.js';
import { positionTriples } from '../generate/prompt-cache.js';
import type { DecodedStep, GenerateOptions, RoleMask } from '../generate/request.js';
import type { VisualPatches } from '../processor/pack-patches.js';
import type { ModelContext } from './context.js';
import { type SequenceRow, rowPositions, visualSpans, visualTokens } from './sequence.js';
import { type VisionItem, visionBatches } from './vision-batches.js';
import { type VisionOperands, visionForward } from './vision.js';

/** The images and videos of a processor's result one by one, in the order of the prompt. Views, not copies. */
export function imagePatches({ pixelValues, patchDimension, grids }: VisualPatches): VisionItem[] {
  let start = 0;
  return grids.map((grid) => {
    const end = start + grid[0] * grid[1] * grid[2] * patchDimension;
    const patches = { pixelValues: pixelValues.subarray(start, end), grid };
    start = end;
    return patches;
  });
}

/** Patches run through the vision tower at once; bounds its working memory. One image above it runs alone. */
const patchesPerBatch = 4096;

/** One prompt: its tokens, and what they show. */
export interface Prompt extends Omit<SequenceRow, 'grids' | 'featureStarts'> {
  /** Images and videos in the order of the prompt. */
  readonly images?: readonly VisionItem[];
}

export interface PromptsRequest extends GenerateOptions {
  readonly prompts: readonly Prompt[];
  readonly roles?: RoleMask;
}

/** A request for one sequence. */
export interface GenerateRequest extends Omit<GenerateOptions, 'samples' | 'stopWhen'> {
  readonly row: Omit<Prompt, 'images'>;
  readonly images?: readonly VisionItem[];
  /** Roles of the prompt's tokens and of what is generated. */
  readonly roles?: Omit<RoleMask, 'prompts'> & { readonly prompt: ArrayLike<number> };
  /** Ends the sequence after a token. */
  readonly stopWhen?: (id: number) => boolean;
}

export class Qwen2_5_VL {
  readonly context: ModelContext;
  readonly device: Device;
  readonly #decode: Decoder;
  readonly #vision: (pixelValues: Tensor, operands: VisionOperands) => Promise<Tensor>;

  constructor(context: ModelContext, device: Device) {
    this.context = context;
    this.device = device;
    this.#decode = createDecoder(context, device);
    this.#vision = compile(
      (pixelValues: Tensor, operands: VisionOperands) => {
        const { tokens } = visionForward(context, pixelValues, operands);
        return reshape(tokens, [-1, tokens.shape[2]!]);
      },
      { device, name: 'the vision tower' },
    );
  }

  /** Visual tokens [rows, hidden] of images and videos, in the order given; undefined without any. */
  async encodeImages(items: readonly VisionItem[]): Promise<Tensor | undefined> {
    const { table, featureStarts } = await this.#encode(items);
    if (!table || featureStarts.every((start, i) => i === 0 || start > featureStarts[i - 1]!)) return table;
    const { spatialMergeSize } = this.context.config.visionConfig;
    const rows = items.map(({ grid }, i) =>
      slice(table, 0, featureStarts[i]!, featureStarts[i]! + visualTokens(grid, spatialMergeSize)),
    );
    return concat(rows, 0);
  }

  /** One table of the visual tokens of all items, frames of one size together, and the row where each item starts. */
  async #encode(items: readonly VisionItem[]): Promise<{ table?: Tensor; featureStarts: readonly number[] }> {
    const { batches, featureStarts } = visionBatches(this.context.config.visionConfig, items, { patchesPerBatch });
    const encoded: Tensor[] = [];
    for (const { pixelValues, operands } of batches) encoded.push(await this.#vision(pixelValues, operands));
    if (encoded.length === 0) return { featureStarts };
    return { table: encoded.length === 1 ? encoded[0]! : concat(encoded, 0), featureStarts };
  }

  /** One token of every sequence at a time: prompts with their images, and samples of each. */
  async *decode({ prompts, ...options }: PromptsRequest): AsyncGenerator<DecodedStep, void, undefined> {
    const { config } = this.context;
    const rows = prompts.map(({ images = [], ...row }) => ({ ...row, grids: images.map(({ grid }) => grid) }));
    const visuals = prompts.map(({ images = [] }, b) =>
      visualSpans(config, rows[b]!).map((span, i) => ({ ...span, pixelValues: images[i]!.pixelValues })),
    );
    // Taken before the first wait: another request on the same cache finds it empty, and starts anew.
    const reuse = options.cache?.take({
      owner: this.context,
      inputIds: rows[0]!.inputIds,
      positions: positionTriples(rowPositions(config, rows[0]!).positions),
      visuals: visuals[0]!,
    });
    const reused = reuse?.length ?? 0;

    // An image that several prompts share, or one that a cache has read, is not encoded (again).
    const places = prompts.flatMap(({ images = [] }, b) =>
      images.map((image, i) => ({ image, isHeld: visuals[b]![i]!.start < reused })),
    );
    const items = [...new Set(places.filter(({ isHeld }) => !isHeld).map(({ image }) => image))];
    const { table, featureStarts } = await this.#encode(items).catch((error: unknown) => {
      if (reuse) options.cache?.put(reuse.held);
      throw error;
    });
    const rowOf = new Map(items.map((item, i) => [item, featureStarts[i]!]));
    yield* this.#decode({
      ...options,
      rows: rows.map((row, b) => ({
        ...row,
        featureStarts: (prompts[b]!.images ?? []).map((image) => rowOf.get(image) ?? 0),
      })),
      ...(table && { visualTokens: table }),
      ...(options.cache && { reuse, visuals: visuals[0]! }),
    });
  }

  /** Token ids of one answer, one by one; the id that ends it is not among them. */
  async *generate({
    images = [],
    row,
    roles,
    stopWhen,
    ...options
  }: GenerateRequest): AsyncGenerator<number, void, undefined> {
    const steps = this.decode({
      ...options,
      prompts: [{ ...row, images }],
      ...(stopWhen && { stopWhen: (_sequence, id) => stopWhen(id) }),
      ...(roles && { roles: { prompts: [roles.prompt], generated: roles.generated, table: roles.table } }),
    });
    const stops = new Set(options.stopIds ?? this.context.config.eosTokenIds);
    for await (const { ids, ends } of steps) {
      if (ends[0] && stops.has(ids[0]!)) return;
      yield ids[0]!;
    }
  }

  /** All sequences of a request, whole: sequence r is sample r mod G of prompt ⌊r / G⌋. */
  generateBatch(request: PromptsRequest): Promise<readonly GeneratedSequence[]> {
    const sequences = request.prompts.length * (request.samples ?? 1);
    return collectSequences(this.decode(request), sequences, request.stopIds ?? this.context.config.eosTokenIds);
  }
}
