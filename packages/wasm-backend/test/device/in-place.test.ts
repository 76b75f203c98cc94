/** Donated inputs that outputs are written over: right for every op that allows it, and untouched by a run that fails. */
import * as t from '@mindseye/tensor-core';
import { opCases, readBack, seededValue, toTensor } from '@mindseye/tensor-core/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
import { TIERS } from '../kernels/support.js';
import { bufferOf, bytesOf, expectSameBits, rangeOf } from './support.js';

/** Ops that may write over an operand in some application. */
const overwriting = [...t.opTable.values()].filter((op) => op.overwrites !== undefined).map(({ name }) => name);

describe.each(TIERS)('%s', (tier) => {
  test.each(overwriting)('%s over each operand has the bits of a result of its own', async (name) => {
    const op = t.opTable.get(name)!;
    const device = createWasmDevice({ tier, poison: true });
    const invocations = opCases[name]!.invocations({ values: 'extreme', maxLength: 40 });
    const property = fc.asyncProperty(invocations, fc.nat(7), async ({ inputs, attributes }, pick) => {
      const pairs = op.overwrites!(inputs, attributes);
      const donor = pairs.length === 0 ? undefined : pairs[pick % pairs.length]!.input;
      const apply = (...given: t.Tensor[]): readonly t.Tensor[] => t.apply(op, given, attributes);
      const own = await t.compile(apply, { device })(...inputs.map(toTensor));
      const donate = donor === undefined ? [] : [donor];
      const over = await t.compile(apply, { device, donate })(...inputs.map(toTensor));
      await expectSameBits(over, own);
    });
    await fc.assert(property, { numRuns: 40 });
  });
});

/** On the device: a tensor of the host is only uploaded when it is used. */
const held = (x: t.Tensor, device: t.Device): Promise<t.Tensor> => t.evaluate(t.stopGradient(x), { device });

const at = (row: number): t.Tensor => t.tensor(Int32Array.of(row));

describe('a cache that grows in place', () => {
  const [heads, capacity] = [2, 16];

  test.each([
    ['f32', 4],
    ['f16', 4],
    ['bf16', 5],
    ['f16', 3],
  ] as const)('an update writes its rows and not a byte else: %s, %i wide', async (dtype, width) => {
    const rowBytes = t.byteSizeOf(dtype) * width;
    const shape = [1, heads, capacity, width];
    const zeros = (): t.Tensor =>
      t.tensor(t.hostView(new ArrayBuffer(heads * capacity * rowBytes), 0, { shape, dtype }), shape, { dtype });
    const memory = new WebAssembly.Memory({ initial: 16, maximum: 256 });
    const device = createWasmDevice({ memory });
    const update = t.compile(
      (cache: t.Tensor, rows: t.Tensor, start: t.Tensor) => t.updateSlice(cache, rows, start, 2),
      {
        device,
        donate: [0],
      },
    );
    const rows = toTensor(seededValue([1, heads, 1, width], dtype, 'nonzero', 1));
    const plan = update.plan(zeros(), rows, at(0));
    expect(plan.copies).toEqual([]);
    expect(plan.arena.byteLength).toBe(0);

    let cache = await held(zeros(), device);
    const { pointer, byteLength } = rangeOf(bufferOf(cache));
    await update(zeros(), rows, at(3)); // uploads the rows
    const before = new Uint8Array(memory.buffer).slice();
    cache = await update(cache, rows, at(5));
    expect(rangeOf(bufferOf(cache))).toEqual(expect.objectContaining({ pointer, byteLength }));
    const after = new Uint8Array(memory.buffer);
    const changed = new Set<number>();
    for (let i = 0; i < before.length; i++)
      if (after[i] !== before[i]) changed.add(Math.floor((i - pointer) / rowBytes));
    // Row 5 of each head, and what holds the start, which was uploaded in between.
    expect([...changed].filter((row) => row >= 0 && row * rowBytes < byteLength)).toEqual([5, capacity + 5]);
    const [wanted, got] = [await rows.data(), await cache.data()];
    for (let head = 0; head < heads; head++) {
      const from = (head * capacity + 5) * width;
      expect(got.slice(from, from + width)).toEqual(wanted.slice(head * width, (head + 1) * width));
    }
  });
});

test('a map of seen tokens is marked in place', async () => {
  const device = createWasmDevice({ poison: true });
  const mark = t.compile(t.markSeen, { device, donate: [0] });
  let seen = await held(t.full([2, 5], 0, 'bool'), device);
  const { pointer } = rangeOf(bufferOf(seen));
  const ids = (...given: number[]): t.Tensor => t.tensor(Int32Array.from(given));
  expect(mark.plan(seen, ids(0, 0)).copies).toEqual([]);
  for (const given of [ids(1, -1), ids(4, 0), ids(4, 5)]) seen = await mark(seen, given);
  expect(rangeOf(bufferOf(seen)).pointer).toBe(pointer);
  expect([...(await seen.data())]).toEqual([0, 1, 0, 0, 1, 1, 0, 0, 0, 0]);
});

describe('a run that fails', () => {
  const state = (): t.Tensor => toTensor(seededValue([4, 3], 'f32', 'ordinary', 7));
  const cache = (): t.Tensor => toTensor(seededValue([8, 3], 'f32', 'ordinary', 8));
  /** Overwrites both donors; its gather and its update can fail. */
  const step = (
    given: t.Tensor,
    kept: t.Tensor,
    index: t.Tensor,
    start: t.Tensor,
  ): readonly [t.Tensor, t.Tensor, t.Tensor] => {
    const scaled = t.mul(given, 3);
    return [scaled, t.updateSlice(kept, scaled, start, 0), t.gather(given, index)];
  };

  test.each([
    ['an index of an input', at(9), at(2), "index 9 is outside the table's 4 rows"],
    ['a start that leaves the capacity', at(1), at(5), 'rows 5 to 9 leave the capacity of 8'],
  ])('because of %s leaves every donor as it was', async (_what, index, start, message) => {
    const device = createWasmDevice({ poison: true });
    const compiled = t.compile(step, { device, donate: [0, 1] });
    const donors = [await held(state(), device), await held(cache(), device)] as const;
    const { rootBytes } = device.memory();
    const bytes = await Promise.all(donors.map(async (donor) => bytesOf(await readBack(donor))));
    await expect(compiled(...donors, index, start)).rejects.toThrow(message);
    // The index and the start are roots now.
    expect(device.memory().rootBytes).toBe(rootBytes + 8);
    for (const [i, donor] of donors.entries()) expect(bytesOf(await readBack(donor))).toEqual(bytes[i]);
    const results = await compiled(...donors, at(1), at(2));
    await expectSameBits(
      results,
      await t.compile(step, { device: t.createReferenceDevice() })(state(), cache(), at(1), at(2)),
    );
  });

  test('because of an index that it computed itself leaves every donor as it was', async () => {
    const device = createWasmDevice({ poison: true });
    const computed = t.compile(
      (given: t.Tensor, index: t.Tensor) => [t.mul(given, 3), t.gather(given, t.mul(index, 5))],
      { device, donate: [0] },
    );
    const donor = await held(state(), device);
    const bytes = bytesOf(await readBack(donor));
    await expect(computed(donor, at(1))).rejects.toThrow("index 5 is outside the table's 4 rows");
    expect(bytesOf(await readBack(donor))).toEqual(bytes);
    const [tripled] = await computed(donor, at(0));
    expect((await readBack(tripled!)).data).toEqual(
      seededValue([4, 3], 'f32', 'ordinary', 7).data.map((x) => Math.fround(3 * x)),
    );
  });
});
