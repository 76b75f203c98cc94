/**
 * Makes a TaskDefinition out of a scene generator: streams, split membership, rendering and identity are the same for every
 * generated task, and only what is asked about what differs.
 */
import type { RandomStream } from '@mindseye/tensor-core';
import { namedStream } from '../random/item-stream.js';
import { renderScene } from '../raster/render.js';
import { layOut } from '../scene/layout.js';
import { sceneHash, splitOfScene } from '../scene/scene.js';
import type { Cells, Split } from '../scene/scene.js';
import type { ObjectKind } from '../scene/vocabulary.js';
import { checkIndex, exactMatch } from './task.js';
import type { Sample, SampleDescription, TaskDefinition } from './task.js';

/** A question about a scene, and its answer. */
export interface Question {
  readonly template: string;
  readonly question: string;
  readonly answer: string;
  readonly target?: ObjectKind;
}

/** A scene that was drawn, and what is asked about it. */
export interface DrawnItem {
  readonly cells: Cells;
  /** The question, or undefined where the scene offers none; then another scene is drawn. */
  readonly ask: (random: RandomStream) => Question | undefined;
}

/** What distinguishes one generated task from another. */
export interface GeneratedTaskOptions {
  readonly name: string;
  readonly version: string;
  readonly splits: Readonly<Record<Split, number>>;
  readonly classes: readonly string[] | null;
  readonly chance: number;
  readonly promptSuffix?: string;
  readonly parse: (text: string) => string | undefined;
  /** Whether `ask` draws another question each time. */
  readonly asksFurther?: boolean;
  /** Prepares item `index`; the returned function draws a scene and may be called again until one falls into the split. */
  readonly draw: (split: Split, index: number) => (random: RandomStream) => DrawnItem;
}

/** Draws of one item before the generator gives up: each succeeds with probability one quarter or more. */
const MOST_ATTEMPTS = 1000;

/** A task over generated scenes. */
export function generatedTask(options: GeneratedTaskOptions): TaskDefinition {
  const { name, version, splits } = options;

  const streamOf = (split: Split, index: number, purpose: string): RandomStream =>
    namedStream(version, name, split, index, purpose);

  /** The scene of an item with its first question. */
  function drawItem(split: Split, index: number): DrawnItem & { readonly hash: string; readonly asked: Question } {
    checkIndex({ name, splits }, split, index);
    const drawScene = options.draw(split, index);
    const random = streamOf(split, index, 'scene');
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const { cells, ask } = drawScene(random);
      const hash = sceneHash(cells);
      if (splitOfScene(hash) !== split) continue;
      const asked = ask(streamOf(split, index, 'question'));
      if (asked !== undefined) return { cells, ask, hash, asked };
    }
    throw new Error(
      `${name}: no scene for ${split} item ${index} in ${MOST_ATTEMPTS} draws; its generator is too narrow`,
    );
  }

  function describe(split: Split, index: number): SampleDescription {
    const { cells, hash, asked } = drawItem(split, index);
    const { template, question, answer, target } = asked;
    return {
      id: `${name}/${split}/${index}`,
      index,
      question,
      answer,
      metadata: {
        scene: layOut(streamOf(split, index, 'layout'), cells),
        sceneHash: hash,
        template,
        ...(target === undefined ? {} : { target }),
      },
    };
  }

  function askFurther(split: Split, index: number, count: number): readonly Pick<Question, 'question' | 'answer'>[] {
    const { ask, asked } = drawItem(split, index);
    const questions = [asked];
    for (let i = 1; i <= count; i++) questions.push(ask(streamOf(split, index, `question ${i}`))!);
    return questions.slice(1).map(({ question, answer }) => ({ question, answer }));
  }

  function generate(split: Split, index: number): Sample {
    const description = describe(split, index);
    return {
      ...description,
      image: renderScene(description.metadata.scene, streamOf(split, index, 'noise').seed),
    };
  }

  return {
    name,
    version,
    splits,
    classes: options.classes,
    chance: options.chance,
    promptSuffix: options.promptSuffix ?? '',
    generate,
    describe,
    ...(options.asksFurther && { askFurther }),
    parse: options.parse,
    score: exactMatch,
  };
}
