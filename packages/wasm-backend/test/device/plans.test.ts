/**
 * Plans of random graphs on poisoned memory: what is read has been written, what is alive shares no bytes, and a run needs
 * what was said before it.
 */
import * as t from '@mindseye/tensor-core';
import {
  type GraphRecipe,
  arbitraryGraph,
  buildGraph,
  createArenaDevice,
  graphLoss,
  readBack,
  toTensor,
} from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deviceOn } from '../../src/device/device.js';
import { createWasmDevice } from '../../src/index.js';
import { createKernels } from '../../src/kernels/index.js';
import { Threads } from '../../src/threads/threads.js';
import { TIERS } from '../kernels/support.js';
import { bytesOf, distance } from './support.js';

const reference = t.createReferenceDevice();

/** Every value of the graph, its loss and the gradients of all inputs. */
function everything(recipe: GraphRecipe): (inputs: readonly t.Tensor[]) => t.Tensor[] {
  const valuesOf = (given: readonly t.Tensor[]): t.Tensor[] => buildGraph(recipe, given);
  return (inputs) => {
    const [loss, gradients] = t.valueAndGrad((given: readonly t.Tensor[]) => graphLoss(valuesOf(given)))(inputs);
    return [loss, ...gradients, ...valuesOf(inputs)];
  };
}

const passNames = Object.keys(t.noPasses) as (keyof t.PlanPasses)[];
const arbitraryPasses: fc.Arbitrary<t.PlanPasses> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<t.PlanPasses>({}) },
  { weight: 1, arbitrary: fc.constantFrom(...passNames).map((name) => ({ [name]: false })) },
);

interface Way {
  readonly recipe: GraphRecipe;
  readonly passes: t.PlanPasses;
  readonly donate: boolean;
}

const arbitraryWay: fc.Arbitrary<Way> = fc.record({
  recipe: arbitraryGraph({ maxSteps: 14 }),
  passes: arbitraryPasses,
  donate: fc.boolean(),
});

const run = (device: t.Device, { recipe, passes, donate }: Way): Promise<t.Tensor[]> =>
  t.compile(everything(recipe), { device, passes, donate: donate ? [0] : [] })(recipe.inputs.map(toTensor));

describe.each(TIERS)('%s', (tier) => {
  test('poisoned memory changes no bit, and the numbers are those of the reference engine', async () => {
    const [poisoned, clean] = [createWasmDevice({ tier, poison: true }), createWasmDevice({ tier })];
    const property = fc.asyncProperty(arbitraryWay, async (way) => {
      const actual = await run(poisoned, way);
      const [expected, same] = [await run(reference, { ...way, donate: false }), await run(clean, way)];
      for (const [i, value] of expected.entries()) {
        expect(bytesOf(await readBack(actual[i]!)), `value ${i}`).toEqual(bytesOf(await readBack(same[i]!)));
        expect(await distance(actual[i]!, value), `value ${i}`).toBeLessThan(1e-4);
      }
    });
    await fc.assert(property, { numRuns: 150 });
  });

  test('three threads, however little there is to divide, change no bit of values or gradients', async () => {
    const threads = new Threads(3, { eager: true });
    const divided = deviceOn(createKernels({ tier, threads }), { maximumBytes: 0 });
    const alone = createWasmDevice({ tier, threads: 1 });
    const property = fc.asyncProperty(arbitraryWay, async (way) => {
      const [actual, same] = [await run(divided, way), await run(alone, way)];
      const expected = await run(reference, { ...way, donate: false });
      for (const [i, value] of expected.entries()) {
        expect(bytesOf(await readBack(actual[i]!)), `value ${i}`).toEqual(bytesOf(await readBack(same[i]!)));
        expect(await distance(actual[i]!, value), `value ${i}`).toBeLessThan(1e-4);
      }
    });
    await fc.assert(property, { numRuns: 150 });
    expect(divided.report()).toMatchObject({ threads: 3, threadStarts: 1, threadsLost: undefined });
    expect(divided.runningThreads).toBe(2);
    threads.end();
  });

  test('the peak is known before the run and not exceeded', async () => {
    const property = fc.asyncProperty(arbitraryWay, async ({ recipe, passes, donate }) => {
      const device = createWasmDevice({ tier });
      const compiled = t.compile(everything(recipe), { device, passes, donate: donate ? [0] : [] });
      const plan = compiled.plan(recipe.inputs.map(toTensor));
      const { workingBytes } = device.lower(plan);
      expect(workingBytes).toBeGreaterThanOrEqual(plan.arena.byteLength);
      const others = device.upload(new Float32Array(1000), { shape: [1000], dtype: 'f32' });
      await compiled(recipe.inputs.map(toTensor));
      const { peakBytes, arenaBytes } = device.memory();
      expect(arenaBytes).toBe(workingBytes);
      expect(peakBytes).toBeLessThanOrEqual(plan.inputBytes + plan.outputBytes + workingBytes + others.byteLength);
    });
    await fc.assert(property, { numRuns: 40 });
  });
});

interface Bytes {
  readonly buffer: string;
  readonly start: number;
  readonly end: number;
}

/** Where a value lies: which buffer, and which bytes of it. */
function bytesAt({ places, values }: t.Plan, value: number): Bytes {
  const place = places[value]!;
  const { shape, dtype } = values[value]!;
  const buffer = place.kind === 'arena' ? 'arena' : `${place.kind} ${place.position}`;
  return { buffer, start: place.byteOffset, end: place.byteOffset + t.sizeOf(shape) * t.byteSizeOf(dtype) };
}

const overlap = (a: Bytes, b: Bytes): boolean => a.buffer === b.buffer && a.start < b.end && b.start < a.end;

/** Whether `step` may write `output` over the bytes of `owner`. */
function isAllowed(
  { values, storage }: t.Plan,
  { op, inputs, outputs, attributes }: t.PlanStep,
  output: number,
  owner: number,
): boolean {
  const pairs = op.overwrites?.(
    inputs.map((value) => values[value]!),
    attributes,
  );
  return inputs.every(
    (value, input) =>
      storage[value]!.owner !== owner ||
      pairs?.some((pair) => pair.input === input && storage[outputs[pair.output]!]!.owner === output),
  );
}

/** Pairs of owners that share bytes while both are alive, written as texts. */
function sharedBytes(plan: t.Plan): string[] {
  const { steps, storage, outputs, values } = plan;
  const { born, dies } = t.lifetimesOf(plan, storage);
  const owners = values.flatMap((_, value) => (plan.places[value] && storage[value]!.owner === value ? [value] : []));
  const found: string[] = [];
  for (const a of owners)
    for (const b of owners) {
      if (born[a]! > born[b]! || (born[a] === born[b] && a >= b) || !overlap(bytesAt(plan, a), bytesAt(plan, b)))
        continue;
      // `a` is there when `b` is written.
      const isDead = dies[a]! < born[b]! && !outputs.some((output) => storage[output]!.owner === a);
      const step = steps[born[b]!];
      const isTaken = dies[a] === born[b] && step !== undefined && isAllowed(plan, step, b, a);
      if (!isDead && !isTaken) found.push(`%${a} and %${b} at step ${born[b]}`);
    }
  return found;
}

test('no two values that are alive at once share bytes, unless a step may write one over the other', () => {
  const device = createWasmDevice();
  const property = fc.property(arbitraryWay, ({ recipe, passes, donate }) => {
    const compiled = t.compile(everything(recipe), { device, passes, donate: donate ? [0] : [] });
    const plan = compiled.plan(recipe.inputs.map(toTensor));
    expect(sharedBytes(plan)).toEqual([]);
  });
  fc.assert(property, { numRuns: 120 });
});

test('the detector of shared bytes finds a plan that has them', () => {
  const fn = (x: t.Tensor): t.Tensor => t.matmul(t.matmul(x, x), t.matmul(x, t.transpose(x)));
  const plan = t.compile(fn, { device: createArenaDevice() }).plan(t.full([4, 4], 1));
  expect(sharedBytes(plan)).toEqual([]);
  const places = plan.places.map((place) => (place?.kind === 'arena' ? { ...place, byteOffset: 0 } : place));
  expect(sharedBytes({ ...plan, places })).not.toEqual([]);
});
