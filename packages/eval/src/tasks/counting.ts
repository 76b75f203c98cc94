/**
 * Counting: how many objects of one kind are in a cluttered scene.
 *
 *   total objects  N ~ U{10..16},   answer  k ~ U{2..10}, independent of N
 *   target         one of 20 kinds (shape × colour)
 *   distractors    N − k; half share the target's shape or its colour, half neither
 *
 * The question format and the range 2 to 10 are those of the PixMo-Count task of LIVR (arXiv 2512.21218, appendix A). Answers
 * are balanced exactly: each run of nine consecutive items of a split holds every count once, in an order drawn for that run,
 * so the best constant answer scores chance and no more. Ink does not tell the count: see scene/layout.ts.
 *
 * One shortcut is left by design and measured in test/probes.test.ts: as only a quarter of the distractors have the target's colour, the
 * area of that colour alone answers about 30 % (chance 11.1 %). An accuracy has to be above that to show that shapes were told apart.
 */
import type { RandomStream } from '@mindseye/tensor-core';
import { coin, integerBetween, namedStream } from '../random/item-stream.js';
import { CELL_COUNT } from '../scene/scene.js';
import type { Cells, Split } from '../scene/scene.js';
import { COLORS, KINDS, SHAPES, kindNamePlural } from '../scene/vocabulary.js';
import type { ObjectKind } from '../scene/vocabulary.js';
import { generatedTask } from './generated.js';
import { parseInteger } from './parse.js';
import type { TaskDefinition } from './task.js';

/** Part of every seed: change it whenever any sample changes, and the golden digests with it. */
const VERSION = '1';

const OBJECTS = { fewest: 10, most: 16 };

/** The possible answers. */
export const COUNTS: readonly string[] = ['2', '3', '4', '5', '6', '7', '8', '9', '10'];

/** The answer of item `index`: its place in the shuffled order of its run of nine. */
function balancedCount(split: Split, index: number): number {
  const block = Math.floor(index / COUNTS.length);
  const order = namedStream(VERSION, 'counting', split, `block-${block}`, 'answers').shuffle([...COUNTS]);
  return Number(order[index % COUNTS.length]);
}

/** One object that is not of the target kind; `shares` says whether it has the target's shape or else its colour. */
function distractor(random: RandomStream, target: ObjectKind, shares: boolean): ObjectKind {
  const otherShape = random.choice(SHAPES.filter((shape) => shape !== target.shape));
  const otherColor = random.choice(COLORS.filter((color) => color !== target.color));
  if (!shares) return { shape: otherShape, color: otherColor };
  return coin(random) ? { shape: target.shape, color: otherColor } : { shape: otherShape, color: target.color };
}

/** A scene with exactly `count` objects of kind `target`. */
function countingScene(random: RandomStream, target: ObjectKind, count: number): Cells {
  const total = integerBetween(random, OBJECTS.fewest, OBJECTS.most);
  const others = total - count;
  // Half of the distractors; of an odd number, the middle one by coin.
  const sharing = Math.floor((others + (coin(random) ? 1 : 0)) / 2);
  const contents: (ObjectKind | null)[] = [];
  for (let i = 0; i < CELL_COUNT; i++) {
    if (i < count) contents.push(target);
    else if (i < total) contents.push(distractor(random, target, i < count + sharing));
    else contents.push(null);
  }
  return random.shuffle(contents);
}

/** The counting task: "How many red circles are there in the image?" */
export const counting: TaskDefinition = generatedTask({
  name: 'counting',
  version: VERSION,
  splits: { train: 10_000, validation: 2_000, test: 2_000 },
  classes: COUNTS,
  chance: 1 / COUNTS.length,
  parse: parseInteger,
  draw: (split, index) => {
    const count = balancedCount(split, index);
    return (random) => {
      const target = random.choice(KINDS);
      return {
        cells: countingScene(random, target, count),
        ask: () => ({
          template: 'counting',
          question: `How many ${kindNamePlural(target)} are there in the image?`,
          answer: String(count),
          target,
        }),
      };
    };
  },
});
