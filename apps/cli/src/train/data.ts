/** The training split of a task as training examples, each generated when it is asked for. */
import { type TaskDefinition, promptOf } from '@mindseye/eval';
import { type TrainingSet, conversationSequence, latentSequence, latentTokenName } from '@mindseye/latent-reasoning';
import { type Message, type Processor, type Tokenizer, imagePatches, visualQuestion } from '@mindseye/qwen-vl';
import { CommandError, UsageError } from '../shared/errors.js';

const END_OF_TURN = '<|im_end|>';

export interface TaskDataOptions {
  readonly task: TaskDefinition;
  /** The first so many items of the split. */
  readonly size: number;
  readonly processor: Processor;
  readonly imageTokenId: number;
  readonly latentIds: readonly number[];
  /** Questions asked about each image, as turns of one conversation. */
  readonly questions: number;
}

export function taskTrainingSet(options: TaskDataOptions): TrainingSet {
  const { task, size, questions, latentIds } = options;
  const available = task.splits.train;
  if (size > available)
    throw new UsageError(`--examples ${size}: the training split of ${task.name} has ${available}; give at most that`);
  if (questions > 1 && (!task.askFurther || latentIds.length > 0))
    throw new UsageError(`--questions ${questions}: ${task.askFurther ? 'a method with latents' : task.name} asks one`);
  return { size, example: questions > 1 ? conversationExample(options) : questionExample(options) };
}

/** One question about an image, with the latents of the method. */
function questionExample({ task, processor, imageTokenId, latentIds }: TaskDataOptions): TrainingSet['example'] {
  const { tokenizer } = processor;
  const tokens = { imageTokenId, endOfTurnId: tokenizer.requireId(END_OF_TURN), latentIds };
  return (index) => {
    const sample = task.generate('train', index);
    const { inputIds, vision } = processor.ask(promptOf(task, sample), [sample.image], { addGenerationPrompt: true });
    const images = imagePatches(vision!);
    const prompt = { inputIds, grids: images.map(({ grid }) => grid) };
    return { id: sample.id, sequence: latentSequence(prompt, tokens, tokenizer.encode(sample.answer)), images };
  };
}

/** Several questions about an image, each with its answer, in one conversation. */
function conversationExample({ task, processor, imageTokenId, questions }: TaskDataOptions): TrainingSet['example'] {
  const { tokenizer } = processor;
  const tokens = {
    imageTokenId,
    endOfTurnId: tokenizer.requireId(END_OF_TURN),
    assistantHeader: [tokenizer.requireId('<|im_start|>'), ...tokenizer.encode('assistant\n')],
  };
  const asked = (text: string): string => text + task.promptSuffix;
  return (index) => {
    const sample = task.generate('train', index);
    const messages: Message[] = [
      ...visualQuestion(asked(sample.question), 1),
      { role: 'assistant', content: sample.answer },
      ...task.askFurther!('train', index, questions - 1).flatMap(({ question, answer }): Message[] => [
        { role: 'user', content: asked(question) },
        { role: 'assistant', content: answer },
      ]),
    ];
    const { inputIds, vision } = processor.process(messages, [sample.image], { addGenerationPrompt: false });
    const images = imagePatches(vision!);
    const grids = images.map(({ grid }) => grid);
    return { id: sample.id, sequence: conversationSequence(inputIds, grids, tokens), images };
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
