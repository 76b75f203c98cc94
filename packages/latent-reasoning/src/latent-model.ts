/**
 * A trained model that answers questions about images through its latents, and shows where they looked.
 *
 * Conditions for audits: the latents can be left out, and the bottleneck can be put back so that only latents carry image
 * information. Positions are those of the standard sequence in every condition, so that leaving latents out does not also
 * move the answer.
 */
import {
  type GridThw,
  type GenerateRequest,
  type VisionItem,
  type ModelContext,
  type Processor,
  Qwen2_5_VL,
  type PixelBudget,
  type RasterImage,
  type SequenceOperands,
  type VideoFrames,
  embedTokens,
  imagePatches,
  languageForward,
  rowPositions,
  sequenceOperands,
  visualQuestion,
} from '@mindseye/qwen-vl';
import { type Device, type Tensor, compile, tensor } from '@mindseye/tensor-core';
import { type MaskName, bottleneckTable, maskTable, role } from './roles.js';
import { type LatentSequence, latentSequence } from './sequence.js';

export type AnswerCondition = 'standard' | 'no-latents' | 'bottleneck' | 'bottleneck-no-latents';

/** How the answer is decoded: greedily when `sampling` is left out. */
export type AnswerOptions = Pick<
  GenerateRequest,
  'maxNewTokens' | 'stopIds' | 'stopWhen' | 'sampling' | 'seed' | 'cacheDType' | 'prefillChunk' | 'readEvery' | 'signal'
>;

export interface Question extends AnswerOptions {
  readonly question: string;
  readonly images: readonly RasterImage[];
  /** Before the question and after the images. */
  readonly videos?: readonly VideoFrames[];
  /** How many pixels or visual tokens images and videos may take; as the checkpoint says when left out. */
  readonly budget?: PixelBudget;
  readonly condition?: AnswerCondition;
}

/** How much the latents looked at each visual token of an image; the weights of all images add up to 1. */
export interface AttentionMap {
  /** Visual tokens across and down. */
  readonly columns: number;
  readonly rows: number;
  /** [rows, columns] */
  readonly weights: Float32Array;
}

export interface LatentModelOptions {
  readonly context: ModelContext;
  readonly processor: Processor;
  readonly device: Device;
  /** Ids of the latent tokens; empty for a model without. */
  readonly latentIds: readonly number[];
}

interface Prepared {
  readonly sequence: LatentSequence;
  readonly positions: Int32Array;
  readonly images: readonly VisionItem[];
}

export class LatentModel {
  readonly model: Qwen2_5_VL;
  readonly processor: Processor;
  readonly latentIds: readonly number[];
  readonly #attentions: (
    operands: SequenceOperands,
    visualTokens: Tensor,
    roles: Tensor,
    name: MaskName,
  ) => Promise<readonly Tensor[]>;

  constructor({ context, processor, device, latentIds }: LatentModelOptions) {
    this.model = new Qwen2_5_VL(context, device);
    this.processor = processor;
    this.latentIds = latentIds;
    this.#attentions = compile(
      (operands: SequenceOperands, visualTokens: Tensor, roles: Tensor, name: MaskName) => {
        const { inputIds, isVisual, visualIndex, cos, sin } = operands;
        const inputsEmbeds = embedTokens(context, inputIds, {
          rows: visualTokens,
          where: isVisual,
          index: visualIndex,
        });
        return languageForward(context, {
          inputsEmbeds,
          cos,
          sin,
          mask: maskTable[name](roles),
          outputAttentions: true,
        }).attentions!;
      },
      { device, name: 'the attention maps' },
    );
  }

  /** The ids of the answer one by one. */
  generate(question: Question): AsyncGenerator<number, void, undefined> {
    return this.model.generate(this.#request(question));
  }

  /** The answer to a question about images. */
  async answer(question: Question): Promise<string> {
    const ids: number[] = [];
    for await (const id of this.generate(question)) ids.push(id);
    return this.processor.tokenizer.decode(ids, { skipSpecialTokens: true });
  }

  /**
   * Where the latents looked: their attention to the visual tokens, averaged over latents, heads and layers, one map per
   * image. Without latents, where the last token of the prompt looked (nowhere, under the bottleneck).
   */
  async attentionMaps(question: Question): Promise<AttentionMap[]> {
    const { condition = 'standard' } = question;
    const { sequence, positions, images: patches } = this.#prepare(question);
    const { config } = this.model.context;
    const operands = sequenceOperands(config, [{ inputIds: sequence.inputIds, grids: sequence.grids, positions }]);
    const visualTokens = await this.model.encodeImages(patches);
    const length = sequence.inputIds.length;
    const roles = tensor(sequence.roles, [1, length]);
    const attentions = await this.#attentions(
      operands,
      visualTokens!,
      roles,
      condition.startsWith('bottleneck') ? 'bottleneck' : 'causal',
    );
    const latents = [...sequence.roles.keys()].filter((at) => sequence.roles[at] === role.latent);
    const queries = latents.length > 0 ? latents : [length - 1];
    const received = new Float64Array(length);
    for (const layer of attentions) {
      const weights = await layer.data(this.model.device);
      for (let head = 0; head < layer.shape[1]!; head++) {
        for (const query of queries)
          for (let key = 0; key < length; key++) received[key]! += weights[(head * length + query) * length + key]!;
      }
    }
    return splitByImage(received, sequence, config.visionConfig.spatialMergeSize);
  }

  #prepare({ question, images, videos = [], budget, condition = 'standard' }: Question): Prepared {
    const { context } = this.model;
    const messages = visualQuestion(question, images.length, videos.length);
    const { inputIds, secondsPerGrid, vision } = this.processor.process(
      messages,
      { images, videos },
      { addGenerationPrompt: true, ...(budget && { budget }) },
    );
    const patches = imagePatches(vision!);
    const grids: GridThw[] = patches.map(({ grid }) => grid);
    const tokens = {
      ...context.config,
      endOfTurnId: this.processor.tokenizer.requireId('<|im_end|>'),
      latentIds: this.latentIds,
    };
    const full = latentSequence({ inputIds, grids, secondsPerGrid }, tokens);
    const { positions } = rowPositions(context.config, { inputIds: full.inputIds, grids, secondsPerGrid });
    const kept = condition.endsWith('no-latents') ? withoutLatents(full, positions) : { sequence: full, positions };
    return { ...kept, images: patches };
  }

  #request(question: Question): GenerateRequest {
    const { question: _, images: __, videos: ___, budget: ____, condition = 'standard', ...options } = question;
    const { sequence, positions, images: patches } = this.#prepare(question);
    return {
      maxNewTokens: 16,
      ...options,
      row: { inputIds: sequence.inputIds, positions },
      images: patches,
      ...(condition.startsWith('bottleneck') && {
        roles: { prompt: sequence.roles, generated: role.answer, table: bottleneckTable },
      }),
    };
  }
}

/** A sequence with its latents taken out and every other token at the position it had. */
function withoutLatents(
  { inputIds, roles, labels, grids }: LatentSequence,
  positions: Int32Array,
): { readonly sequence: LatentSequence; readonly positions: Int32Array } {
  const length = inputIds.length;
  const kept = (_value: number, at: number): boolean => roles[at % length] !== role.latent;
  return {
    sequence: { inputIds: inputIds.filter(kept), roles: roles.filter(kept), labels: labels.filter(kept), grids },
    positions: positions.filter(kept),
  };
}

function splitByImage(received: Float64Array, { roles, grids }: LatentSequence, merge: number): AttentionMap[] {
  const visual = [...received].filter((_, at) => roles[at] === role.image);
  const total = visual.reduce((sum, value) => sum + value, 0) || 1;
  let at = 0;
  return grids.map(([frames, height, width]) => {
    const [rows, columns] = [height / merge, width / merge];
    const weights = new Float32Array(rows * columns);
    for (let unit = 0; unit < frames * rows * columns; unit++)
      weights[unit % (rows * columns)]! += visual[at++]! / total;
    return { rows, columns, weights };
  });
}
