/**
 * Qwen2.5-VL as one object: configuration and weights on a device, images in, text out.
 *
 * Source: transformers `Qwen2_5_VLForConditionalGeneration`.
 */
import { type Device, type Tensor, compile, concat, reshape, tensor } from '@mindseye/tensor-core';
import { type GenerateRequest, type Generator, createGenerator } from '../generate/generate.js';
import type { ProcessedImages } from '../processor/image-processor.js';
import type { ModelContext } from './context.js';
import type { GridThw } from './rope-index.js';
import type { SequenceRow } from './sequence.js';
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

export interface ImageGenerateRequest extends Omit<GenerateRequest, 'row' | 'visualTokens'> {
  readonly row: Omit<SequenceRow, 'grids'>;
  /** In the order of the prompt. */
  readonly images?: readonly ImagePatches[];
}

export class Qwen2_5_VL {
  readonly context: ModelContext;
  readonly device: Device;
  readonly #generate: Generator;
  readonly #vision: (pixelValues: Tensor, operands: VisionOperands) => Promise<Tensor>;

  constructor(context: ModelContext, device: Device) {
    this.context = context;
    this.device = device;
    this.#generate = createGenerator(context, device);
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

  /** Token ids of the answer, one by one, as they are decoded greedily. */
  async *generate({ images = [], row, ...options }: ImageGenerateRequest): AsyncGenerator<number, void, undefined> {
    const visualTokens = await this.encodeImages(images);
    yield* this.#generate({
      ...options,
      row: { ...row, grids: images.map(({ grid }) => grid) },
      ...(visualTokens && { visualTokens }),
    });
  }
}
