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
  /** Prepares item `index`; the returned function draws a scene and may be called again until one falls into the split. */
  readonly draw: (split: Split, index: number) => (random: RandomStream) => DrawnItem;
}

/** Draws of one item before the generator gives up: each succeeds with probability one quarter or more. */
const MOST_ATTEMPTS = 1000;

/** A task over generated scenes. */
export function generatedTask(options: GeneratedTaskOptions): TaskDefinition {
  const { name, version, splits } = options;

  function describe(split: Split, index: number): SampleDescription {
    checkIndex({ name, splits }, split, index);
    const stream = (purpose: string): RandomStream => namedStream(version, name, split, index, purpose);
    const drawScene = options.draw(split, index);
    const random = stream('scene');
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      const { cells, ask } = drawScene(random);
      const hash = sceneHash(cells);
      if (splitOfScene(hash) !== split) continue;
      const asked = ask(stream('question'));
      if (asked === undefined) continue;
      const { template, question, answer, target } = asked;
      return {
        id: `${name}/${split}/${index}`,
        index,
        question,
        answer,
        metadata: {
          scene: layOut(stream('layout'), cells),
          sceneHash: hash,
          template,
          ...(target === undefined ? {} : { target }),
        },
      };
    }
    throw new Error(
      `${name}: no scene for ${split} item ${index} in ${MOST_ATTEMPTS} draws; its generator is too narrow`,
    );
  }

  function generate(split: Split, index: number): Sample {
    const description = describe(split, index);
    return {
      ...description,
      image: renderScene(description.metadata.scene, namedStream(version, name, split, index, 'noise').seed),
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
    parse: options.parse,
    score: exactMatch,
  };
}
