/** The training split of a task as training examples, each generated when it is asked for. */
import { type TaskDefinition, promptOf } from '@mindseye/eval';
import { type TrainingSet, latentSequence, latentTokenName } from '@mindseye/latent-reasoning';
import { type Processor, type Tokenizer, imagePatches } from '@mindseye/qwen-vl';
import { CommandError, UsageError } from '../shared/errors.js';

export interface TaskDataOptions {
  readonly task: TaskDefinition;
  /** The first so many items of the split. */
  readonly size: number;
  readonly processor: Processor;
  readonly imageTokenId: number;
  readonly latentIds: readonly number[];
}

export function taskTrainingSet({ task, size, processor, imageTokenId, latentIds }: TaskDataOptions): TrainingSet {
  const available = task.splits.train;
  if (size > available)
    throw new UsageError(`--examples ${size}: the training split of ${task.name} has ${available}; give at most that`);
  const { tokenizer } = processor;
  const tokens = { imageTokenId, endOfTurnId: tokenizer.requireId('<|im_end|>'), latentIds };
  return {
    size,
    example(index) {
      const sample = task.generate('train', index);
      const { inputIds, vision } = processor.ask(promptOf(task, sample), [sample.image], { addGenerationPrompt: true });
      const images = imagePatches(vision!);
      const prompt = { inputIds, grids: images.map(({ grid }) => grid) };
      return { id: sample.id, sequence: latentSequence(prompt, tokens, tokenizer.encode(sample.answer)), images };
    },
  };
}

/**
 * Adds the latent tokens to a tokenizer; those it has already keep their ids.
 * @throws CommandError when the embedding table has no rows for them, or their ids are not consecutive
 */
export function addLatentTokens(tokenizer: Tokenizer, count: number, embeddingRows: number): number[] {
  const ids = tokenizer.addTokens(Array.from({ length: count }, (_, i) => latentTokenName(i + 1)));
  const last = ids.at(-1) ?? 0;
  if (last >= embeddingRows) {
    throw new CommandError(
      `${count} latent tokens would take ids up to ${last}, the embedding table has ${embeddingRows} rows; use fewer --latents`,
    );
  }
  if (ids.some((id, i) => id !== ids[0]! + i)) {
    throw new CommandError(
      `the tokenizer has some of the ${count} latent tokens at ids that do not follow one another; start from a model without latent tokens`,
    );
  }
  return ids;
}
