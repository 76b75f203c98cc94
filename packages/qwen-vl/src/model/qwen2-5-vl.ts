/**
 * Qwen2.5-VL as one object: configuration and weights on a device, images in, text out.
 *
 * Source: transformers `Qwen2_5_VLForConditionalGeneration`.
 */
import { type Device, type Tensor, compile, concat, reshape, tensor } from '@mindseye/tensor-core';
import { type GeneratedSequence, collectSequences } from '../generate/collect.js';
import { type Decoder, createDecoder } from '../generate/decode.js';
import { positionTriples, reusableLength, visualSpans } from '../generate/prompt-cache.js';
import type { DecodedStep, GenerateOptions, RoleMask } from '../generate/request.js';
import type { ProcessedImages } from '../processor/image-processor.js';
import type { ModelContext } from './context.js';
import type { GridThw } from './rope-index.js';
import { type SequenceRow, rowPositions, visualTokens } from './sequence.js';
import { type VisionOperands, visionForward, visionOperands } from './vision.js';

/** Patches of one image, as the image processor makes them: [patches, C·T·P·P]. */
export interface ImagePatches {
  readonly pixelValues: Float32Array;
  readonly grid: GridThw;
}

/** The images of a processor's result, one by one. Views, not copies. */
export function imagePatches({ pixelValues, patchDimension, imageGridThw }: ProcessedImages): ImagePatches[] {
  let start = 0;
  return imageGridThw.map((grid) => {
    const end = start + grid[0] * grid[1] * grid[2] * patchDimension;
    const patches = { pixelValues: pixelValues.subarray(start, end), grid };
    start = end;
    return patches;
  });
}

/** One prompt: its tokens, and what they show. */
export interface Prompt extends Omit<SequenceRow, 'grids' | 'featureStarts'> {
  /** Images and videos in the order of the prompt. */
  readonly images?: readonly ImagePatches[];
}

export interface PromptsRequest extends GenerateOptions {
  readonly prompts: readonly Prompt[];
  readonly roles?: RoleMask;
}

/** A request for one sequence. */
export interface GenerateRequest extends Omit<GenerateOptions, 'samples' | 'stopWhen'> {
  readonly row: Omit<Prompt, 'images'>;
  readonly images?: readonly ImagePatches[];
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

  /** Visual tokens [Σ patches / 4, hidden] of all images, one image after another; undefined without images. */
  async encodeImages(images: readonly ImagePatches[]): Promise<Tensor | undefined> {
    const encoded: Tensor[] = [];
    for (const { pixelValues, grid } of images) {
      const patches = grid[0] * grid[1] * grid[2];
      const operands = visionOperands(this.context.config.visionConfig, grid, 1);
      encoded.push(await this.#vision(tensor(pixelValues, [1, patches, pixelValues.length / patches]), operands));
    }
    return encoded.length === 0 ? undefined : concat(encoded, 0);
  }

  /** One token of every sequence at a time: prompts with their images, and samples of each. */
  async *decode({ prompts, ...options }: PromptsRequest): AsyncGenerator<DecodedStep, void, undefined> {
    const { config } = this.context;
    const rows = prompts.map(({ images = [], ...row }) => ({ ...row, grids: images.map(({ grid }) => grid) }));
    const visuals = prompts.map(({ images = [] }, b) =>
      visualSpans(config, rows[b]!).map((span, i) => ({ ...span, pixelValues: images[i]!.pixelValues })),
    );
    const held = options.cache?.peek();
    const reused = held
      ? reusableLength(held, rows[0]!.inputIds, positionTriples(rowPositions(config, rows[0]!).positions), visuals[0]!)
      : 0;

    // An image that several prompts share, or one that a cache has read, is not encoded (again).
    const firstRow = new Map<ImagePatches, number>();
    const needed: ImagePatches[] = [];
    let next = 0;
    const featureStarts = prompts.map(({ images = [] }, b) =>
      images.map((image, i) => {
        if (visuals[b]![i]!.start < reused) return 0;
        const known = firstRow.get(image);
        if (known !== undefined) return known;
        const start = next;
        firstRow.set(image, start);
        needed.push(image);
        next += visualTokens(image.grid, config.visionConfig.spatialMergeSize);
        return start;
      }),
    );
    const encoded = await this.encodeImages(needed);
    yield* this.#decode({
      ...options,
      rows: rows.map((row, b) => ({ ...row, featureStarts: featureStarts[b]! })),
      ...(encoded && { visualTokens: encoded }),
      ...(options.cache && { visuals: visuals[0]! }),
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
