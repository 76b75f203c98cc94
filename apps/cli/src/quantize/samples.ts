/**
 * What a quantised model is measured on: texts as they stand, and generated scenes with a question and its answer as a
 * conversation. The same set for every model and on every machine; nothing is fetched.
 */
import { promptOf, tasks } from '@mindseye/eval';
import { type EvaluationSample, type Processor, imagePatches, visualQuestion } from '@mindseye/qwen-vl';
import { evaluationTexts } from './texts.js';

/** Test items of each task. */
const SCENES: Readonly<Record<string, readonly number[]>> = { counting: [0, 1, 2], perception: [0, 1, 2] };

/** @returns samples of the kinds `text` and `image`, as this model reads them. */
export function evaluationSamples(processor: Processor): EvaluationSample[] {
  const texts = Object.entries(evaluationTexts).map(([name, text]) => ({
    name,
    kind: 'text',
    inputIds: processor.tokenizer.encode(text),
  }));
  const scenes = Object.entries(SCENES).flatMap(([name, indices]) =>
    indices.map((index) => sceneSample(processor, name, index)),
  );
  return [...texts, ...scenes];
}

function sceneSample(processor: Processor, taskName: string, index: number): EvaluationSample {
  const task = tasks[taskName]!;
  const { id, image, question, answer } = task.generate('test', index);
  const messages = [
    ...visualQuestion(promptOf(task, { question }), 1),
    { role: 'assistant' as const, content: answer },
  ];
  const { inputIds, vision } = processor.process(messages, [image]);
  return { name: id, kind: 'image', inputIds, images: imagePatches(vision!) };
}
