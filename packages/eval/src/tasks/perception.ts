/**
 * Perception: the pretraining family. One task per template, and `perception`, the weighted mixture of all of them.
 *
 * Scenes hold 6 to 16 objects. One kind, the focus, takes up to ten cells and half of the other objects resemble it, so that
 * scenes look like those of the counting task and small counts of one kind in one row reach four often enough. Such scenes are
 * few where they hold one kind only, so the 200,000 of the training split repeat some; no scene is in two splits.
 */
import type { RandomStream } from '@mindseye/tensor-core';
import { coin, integerBetween } from '../random/item-stream.js';
import { CELL_COUNT } from '../scene/scene.js';
import type { Cells } from '../scene/scene.js';
import { KINDS } from '../scene/vocabulary.js';
import type { ObjectKind } from '../scene/vocabulary.js';
import { generatedTask } from './generated.js';
import type { Question } from './generated.js';
import { parsePhrase } from './parse.js';
import { PERCEPTION_TEMPLATES } from './perception-templates.js';
import type { TaskDefinition } from './task.js';

/** Part of every seed: change it whenever any sample changes, and the golden digests with it. */
const VERSION = '2';

const SPLIT_SIZES = { train: 200_000, validation: 2_000, test: 2_000 } as const;
const OBJECTS = { fewest: 6, most: 16 };
const MOST_FOCUS = 10;

function perceptionScene(random: RandomStream): Cells {
  const total = integerBetween(random, OBJECTS.fewest, OBJECTS.most);
  const focus = random.choice(KINDS);
  const alike = KINDS.filter((kind) => kind.shape === focus.shape || kind.color === focus.color);
  const copies = integerBetween(random, 0, Math.min(MOST_FOCUS, total));
  const contents: (ObjectKind | null)[] = [];
  for (let i = 0; i < CELL_COUNT; i++) {
    if (i < copies) contents.push(focus);
    else contents.push(i < total ? random.choice(coin(random) ? alike : KINDS) : null);
  }
  return random.shuffle(contents);
}

const TEMPLATES_BY_WEIGHT: readonly string[] = Object.entries(PERCEPTION_TEMPLATES).flatMap(([name, { weight }]) =>
  Array.from({ length: weight }, () => name),
);

/**
 * A question about any scene, by the template of that name or, with none, by one drawn by weight; undefined where the template
 * has nothing to ask about this scene. Several questions about one image give a model more answers to learn from for each
 * image it has to look at. Throws a RangeError where there is no such template.
 */
export function askPerception(random: RandomStream, cells: Cells, templateName?: string): Question | undefined {
  const name = templateName ?? random.choice(TEMPLATES_BY_WEIGHT);
  const template = Object.hasOwn(PERCEPTION_TEMPLATES, name) ? PERCEPTION_TEMPLATES[name] : undefined;
  if (template === undefined) {
    throw new RangeError(
      `perception: there is no template "${name}"; choose one of ${Object.keys(PERCEPTION_TEMPLATES).join(', ')}`,
    );
  }
  const candidates = template.candidates(cells);
  if (candidates.length === 0) return undefined;
  const answer = random.choice([...new Set(candidates.map((candidate) => candidate.answer))]);
  return { template: name, ...random.choice(candidates.filter((candidate) => candidate.answer === answer)) };
}

function perceptionTask(template: string | undefined): TaskDefinition {
  const definition = template === undefined ? undefined : PERCEPTION_TEMPLATES[template];
  const classes = definition?.classes ?? null;
  return generatedTask({
    name: template === undefined ? 'perception' : `perception-${template}`,
    version: VERSION,
    splits: SPLIT_SIZES,
    classes,
    chance: classes === null ? 0 : 1 / classes.length,
    parse: definition?.parse ?? parsePhrase,
    asksFurther: true,
    draw: () => (random) => {
      const cells = perceptionScene(random);
      return { cells, ask: (questions) => askPerception(questions, cells, template) };
    },
  });
}

/** The mixture of all templates. */
export const perception: TaskDefinition = perceptionTask(undefined);

/** One task per template, to measure each ability alone. */
export const perceptionTasks: readonly TaskDefinition[] = Object.keys(PERCEPTION_TEMPLATES).map(perceptionTask);
