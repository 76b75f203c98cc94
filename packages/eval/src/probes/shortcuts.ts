/**
 * The probes of generated tasks.
 *
 *   constant       the training split's most frequent answer
 *   question only  that answer for each question
 *   grey image     a solver that sees every image replaced by grey
 *   ink            the most frequent answer at that much ink, in twelve classes of equally many training samples
 *
 * The ink probe learns a table instead of a line, so it would also find a relation that is not monotone.
 */
import { evaluate } from '../harness/evaluate.js';
import type { Solver } from '../harness/solver.js';
import { greyImage } from '../raster/render.js';
import type { Split } from '../scene/scene.js';
import type { Sample, TaskDefinition } from '../tasks/task.js';
import { inkOf } from './ink.js';
import { PROBE_SAMPLES, majorityProbe, probeResult } from './probe.js';
import type { ProbeItem, ProbeOptions, ProbeResult } from './probe.js';

const INK_CLASSES = 12;

function describe(task: TaskDefinition, split: Split, limit: number, keyOf: (question: string) => string): ProbeItem[] {
  return Array.from({ length: Math.min(limit, task.splits[split]) }, (_, index) => {
    const { question, answer } = task.describe(split, index);
    return { key: keyOf(question), answer };
  });
}

function probeByQuestion(
  task: TaskDefinition,
  probe: string,
  { train = PROBE_SAMPLES, test = PROBE_SAMPLES }: ProbeOptions,
  keyOf: (question: string) => string,
): ProbeResult {
  return majorityProbe(task, probe, describe(task, 'train', train, keyOf), describe(task, 'test', test, keyOf));
}

/** The best constant answer. */
export function constantProbe(task: TaskDefinition, options: ProbeOptions = {}): ProbeResult {
  return probeByQuestion(task, 'constant', options, () => '');
}

/** The best answer to each question, with no image. */
export function questionOnlyProbe(task: TaskDefinition, options: ProbeOptions = {}): ProbeResult {
  return probeByQuestion(task, 'question only', options, (question) => question);
}

/** Accuracy of `solver` on the test split when every image is replaced by a grey one of the first one's size. */
export async function greyImageProbe(
  task: TaskDefinition,
  solver: Solver,
  { test = PROBE_SAMPLES }: Pick<ProbeOptions, 'test'> = {},
): Promise<ProbeResult> {
  const { width, height } = task.generate('test', 0).image;
  const grey = greyImage(width, height);
  const blind: TaskDefinition = {
    ...task,
    generate: (split, index) => ({ ...task.describe(split, index), image: grey }),
  };
  const { summary } = await evaluate(blind, solver, { split: 'test', limit: Math.min(test, task.splits.test) });
  return probeResult(task, 'grey image', summary.accuracy, summary.n);
}

/** What the amount of ink in the image tells about the answer; `measure` may be another number to read off a sample. */
export function inkProbe(
  task: TaskDefinition,
  options: ProbeOptions = {},
  measure: (sample: Sample) => number = ({ image }) => inkOf(image),
): ProbeResult {
  const measured = (split: Split, limit = PROBE_SAMPLES): { ink: number; answer: string }[] =>
    Array.from({ length: Math.min(limit, task.splits[split]) }, (_, index) => {
      const sample = task.generate(split, index);
      return { ink: measure(sample), answer: sample.answer };
    });
  const train = measured('train', options.train);
  const ascending = train.map(({ ink }) => ink).sort((a, b) => a - b);
  const bounds = Array.from(
    { length: INK_CLASSES - 1 },
    (_, place) => ascending[Math.floor(((place + 1) * ascending.length) / INK_CLASSES)] ?? 0,
  );
  const classed = (items: readonly { ink: number; answer: string }[]): ProbeItem[] =>
    items.map(({ ink, answer }) => ({ key: String(bounds.filter((bound) => ink >= bound).length), answer }));
  return majorityProbe(task, 'ink', classed(train), classed(measured('test', options.test)));
}
