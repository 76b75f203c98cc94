/**
 * A task in the sense of the field's harnesses: a dataset, a prompt, a parser of answers and a metric. Pure data and pure
 * functions; a solver (a model, a baseline) is brought to it by harness/evaluate.ts.
 */
import type { RgbImage } from '../raster/render.js';
import type { SceneGraph, Split } from '../scene/scene.js';
import type { ObjectKind } from '../scene/vocabulary.js';

/** What is known about a generated sample beside its image, question and answer. Plain JSON. */
export interface SampleMetadata {
  readonly scene: SceneGraph;
  /** SHA-256 of the canonical scene: the sample's identity for leakage checks. */
  readonly sceneHash: string;
  /** The kind of question, such as "counting" or "describe-row": no template may occur in two tasks' training and test. */
  readonly template: string;
  /** The kind of object asked for, where the question asks for one. */
  readonly target?: ObjectKind;
}

/** One item of a task. */
export interface Sample {
  /** "task/split/index", unique in the task. */
  readonly id: string;
  /** Position in its split, from 0. */
  readonly index: number;
  readonly image: RgbImage;
  readonly question: string;
  /** The gold answer, in the form that `parse` returns. */
  readonly answer: string;
  readonly metadata: SampleMetadata;
}

/** A sample without its pixels: cheap to make, enough to check splits, priors and leakage. */
export type SampleDescription = Omit<Sample, 'image'>;

/** A task. */
export interface TaskDefinition {
  readonly name: string;
  /** Changes whenever any sample of any split would change; part of every seed. */
  readonly version: string;
  /** Number of samples per split. */
  readonly splits: Readonly<Record<Split, number>>;
  /** All possible answers, or null where there are too many to list. */
  readonly classes: readonly string[] | null;
  /** Expected accuracy of a uniformly random answer out of `classes`, 0 to 1. */
  readonly chance: number;
  /** Appended to the question to make the prompt; empty where the question alone says what is wanted. */
  readonly promptSuffix: string;
  /** Further questions about the image of an item, in tasks that can ask several; the same arguments give the same ones. */
  readonly askFurther?: (
    split: Split,
    index: number,
    count: number,
  ) => readonly { readonly question: string; readonly answer: string }[];
  /** Sample `index` of `split`, independent of every other. Throws a RangeError outside the split. */
  generate(split: Split, index: number): Sample;
  /** The same sample without rendering it. */
  describe(split: Split, index: number): SampleDescription;
  /** The answer that a response commits to, or undefined where it commits to none or to several. */
  parse(text: string): string | undefined;
  /** 1 where the prediction is the sample's answer, else 0; no prediction scores 0. */
  score(prediction: string | undefined, sample: Pick<Sample, 'answer'>): 0 | 1;
}

/** Equality of the parsed prediction with the gold answer: the metric of every task so far. */
export function exactMatch(prediction: string | undefined, sample: Pick<Sample, 'answer'>): 0 | 1 {
  return prediction === sample.answer ? 1 : 0;
}

/** Throws a RangeError that names the task, the split and its size unless `index` is one of its samples. */
export function checkIndex(task: Pick<TaskDefinition, 'name' | 'splits'>, split: Split, index: number): void {
  const size = task.splits[split];
  if (size === undefined) {
    throw new RangeError(
      `${task.name}: there is no split "${String(split)}"; choose one of ${Object.keys(task.splits).join(', ')}`,
    );
  }
  if (!Number.isInteger(index) || index < 0 || index >= size) {
    throw new RangeError(
      `${task.name}: index ${index} is outside the ${split} split; give an integer from 0 to ${size - 1}`,
    );
  }
}
