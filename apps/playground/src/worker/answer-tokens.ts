/**
 * The ids of an answer one by one, for text that grows on the page: what `LatentModel.answer` gives as a whole.
 *
 * As there, positions are those of the sequence with its latents in every condition.
 */
import { type LatentModel, bottleneckTable, latentSequence, role } from '@mindseye/latent-reasoning';
import { type ImageGenerateRequest, type RasterImage, imagePatches, ropeIndex } from '@mindseye/qwen-vl';
import type { Condition } from './protocol.js';

export interface AnswerRequest {
  readonly question: string;
  readonly images: readonly RasterImage[];
  readonly condition: Condition;
  readonly maxNewTokens: number;
  readonly stopIds: readonly number[];
}

export function answerTokens(
  latentModel: LatentModel,
  { question, images, condition, ...options }: AnswerRequest,
): AsyncGenerator<number> {
  const { model, processor, latentIds } = latentModel;
  const { config } = model.context;
  const { inputIds, vision } = processor.ask(question, images);
  const patches = imagePatches(vision!);
  const endOfTurnId = processor.tokenizer.requireId('<|im_end|>');
  const grids = patches.map(({ grid }) => grid);
  const sequence = latentSequence({ inputIds, grids }, { imageTokenId: config.imageTokenId, endOfTurnId, latentIds });
  const { positions } = ropeIndex(sequence.inputIds, grids, config, config.visionConfig.spatialMergeSize);

  const length = sequence.inputIds.length;
  const keeps = (_: number, at: number): boolean =>
    condition !== 'no-latents' || sequence.roles[at % length] !== role.latent;
  const request: ImageGenerateRequest = {
    ...options,
    row: { inputIds: sequence.inputIds.filter(keeps), positions: positions.filter(keeps) },
    images: patches,
    ...(condition === 'bottleneck' && {
      roles: { prompt: sequence.roles, generated: role.answer, table: bottleneckTable },
    }),
  };
  return model.generate(request);
}
