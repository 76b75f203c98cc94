/**
 * Where values lie, without a GPU: every plan is played on blocks of 256 bytes that carry the name of what was written there
 * last, so a value whose bytes were taken by another is seen the moment it is read.
 */
import * as t from '@mindseye/tensor-core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gpuBytesOf } from '../src/element.js';
import { type Location, type PlanLocations, locate } from '../src/plan/locations.js';
import { bindingAlignment } from '../src/plan/slabs.js';

const blockElements = bindingAlignment / 4;

/** A graph over vectors of whole blocks: elementwise ops, views, joins, and a step of three outputs. */
interface Recipe {
  readonly inputs: readonly number[];
  readonly steps: readonly { readonly kind: number; readonly a: number; readonly b: number }[];
  readonly outputs: readonly number[];
  readonly donated: readonly boolean[];
}

const arbitraryRecipe: fc.Arbitrary<Recipe> = fc.record({
  inputs: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }),
  steps: fc.array(fc.record({ kind: fc.nat(7), a: fc.nat(99), b: fc.nat(99) }), { maxLength: 25 }),
  outputs: fc.array(fc.nat(99), { minLength: 1, maxLength: 5 }),
  donated: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
});

type Rule = (a: t.Tensor, b: t.Tensor) => readonly t.Tensor[];

const rules: readonly Rule[] = [
  (a) => [t.exp(a)],
  (a, b) => [a.size === b.size ? t.add(a, b) : t.mul(a, t.sum(b))],
  (a, b) => [t.concat([t.sin(a), t.cos(b)], 0)],
  (a, b) => [t.concat([a, b], 0)],
  (a) => [t.slice(a, 0, a.size > blockElements ? blockElements : 0)],
  (a) => [t.slice(a, 0, 0, blockElements)],
  (a) => [t.reshape(t.reshape(a, [a.size / blockElements, blockElements]), [a.size])],
  (a, b) => t.adamwStep(a, t.neg(a), t.abs(a), t.floor(a), t.slice(b, 0, 0, 3), adamw),
];

const adamw = { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 };

/** No value grows beyond this, however often it is joined to itself. */
const mostBlocks = 64;

function planOf({ inputs, steps, outputs, donated }: Recipe, canOverwrite: boolean): t.Plan {
  const leaves = inputs.map((blocks) => t.placeholder({ shape: [blocks * blockElements], dtype: 'f32' }));
  const values: t.Tensor[] = [...leaves];
  for (const { kind, a, b } of steps) {
    const [left, right] = [values[a % values.length]!, values[b % values.length]!];
    const made = rules[kind]!(left, right);
    values.push(...made.filter(({ size }) => size <= mostBlocks * blockElements));
  }
  const device = {
    name: 'a plan only',
    supports: () => true,
    canOverwrite: () => canOverwrite,
    limits: { viewAlignment: bindingAlignment },
  };
  return t.buildPlan({
    inputs: leaves,
    outputs: outputs.map((back) => values[values.length - 1 - (back % values.length)]!),
    donated: new Set(leaves.filter((_, i) => donated[i])),
    device,
    passes: { fuse: false },
  });
}

const bufferOf = (location: Location): string =>
  location.kind === 'slab' ? `slab ${location.slab}` : `${location.kind} ${location.position}`;

/** Plays the plan; throws what is wrong. */
function play(plan: t.Plan, { locations, slabBytes, roots }: PlanLocations, keepsInputs: boolean): void {
  const { values, storage, steps, inputs, outputs } = plan;
  const memory = new Map<string, string[]>();
  const blocksOf = (value: number): number => Math.ceil(gpuBytesOf(values[value]!) / bindingAlignment);
  const names = (value: number): string[] => {
    const { owner, byteOffset } = storage[value]!;
    const first = byteOffset / bindingAlignment;
    return Array.from({ length: blocksOf(value) }, (_, i) => `%${owner} block ${first + i}`);
  };
  const write = (buffer: string, offset: number, content: readonly string[]): void => {
    const blocks = memory.get(buffer) ?? [];
    memory.set(buffer, blocks);
    content.forEach((name, i) => (blocks[offset / bindingAlignment + i] = name));
  };
  const read = (value: number): readonly string[] => {
    const { offset } = locations[value]!;
    const first = offset / bindingAlignment;
    return (memory.get(bufferOf(locations[value]!)) ?? []).slice(first, first + blocksOf(value));
  };
  inputs.forEach((value, position) => write(`input ${position}`, 0, names(value)));
  steps.forEach((step, i) => {
    const allowed = step.op.overwrites?.(
      step.inputs.map((value) => values[value]!),
      step.attributes,
    );
    step.inputs.forEach((value) => expect(read(value), `step ${i} reads %${value}`).toEqual(names(value)));
    step.outputs.forEach((output, at) => {
      const target = locations[output]!;
      if (target.kind === 'slab')
        expect(target.offset + gpuBytesOf(values[output]!)).toBeLessThanOrEqual(slabBytes[target.slab]!);
      if (keepsInputs) expect(target.kind).not.toBe('input');
      step.inputs.forEach((value, input) => {
        if (bufferOf(locations[value]!) !== bufferOf(target)) return;
        // One buffer for reading and for writing: only to write over this very operand.
        expect(locations[value]).toEqual(target);
        expect(gpuBytesOf(values[value]!)).toBe(gpuBytesOf(values[output]!));
        expect(allowed).toContainEqual({ output: at, input });
      });
      write(bufferOf(target), target.offset, names(output));
    });
    step.outputs.forEach((output) => expect(read(output), `step ${i} wrote %${output}`).toEqual(names(output)));
  });
  const rootOf = (position: number): string => {
    const { donor } = roots[position]!;
    return donor === undefined ? `output ${position}` : `input ${donor}`;
  };
  const copied = outputs.flatMap((_, position) => (roots[position]!.isCopied ? [position] : []));
  for (const toDonors of [false, true])
    for (const position of copied)
      if ((roots[position]!.donor !== undefined) === toDonors) write(rootOf(position), 0, read(outputs[position]!));
  outputs.forEach((value, position) =>
    expect(memory.get(rootOf(position))!.slice(0, blocksOf(value)), `output ${position}`).toEqual(names(value)),
  );
  if (keepsInputs) inputs.forEach((value, position) => expect(memory.get(`input ${position}`)).toEqual(names(value)));
}

test('no two values lie on each other while both are needed, and no step reads and writes one buffer', () => {
  const property = fc.property(
    arbitraryRecipe,
    fc.boolean(),
    fc.boolean(),
    fc.constantFrom(8 * bindingAlignment, 2 ** 30),
    (recipe, canOverwrite, protectsDonors, largestSlab) => {
      const plan = planOf(recipe, canOverwrite && !protectsDonors);
      play(plan, locate(plan, { protectsDonors, largestSlab }), protectsDonors);
    },
  );
  fc.assert(property, { numRuns: 1000 });
});

test('writing in place needs no second range', () => {
  const plan = planOf(
    { inputs: [4], steps: Array.from({ length: 6 }, (_, a) => ({ kind: 0, a, b: 0 })), outputs: [0], donated: [false] },
    true,
  );
  expect(plan.steps).toHaveLength(6);
  const bytes = ({ slabBytes }: PlanLocations): number => slabBytes.reduce((sum, slab) => sum + slab, 0);
  expect(bytes(locate(plan, { protectsDonors: false, largestSlab: 2 ** 30 }))).toBe(4 * bindingAlignment);
});
