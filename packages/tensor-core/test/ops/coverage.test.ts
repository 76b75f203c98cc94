import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createReferenceDevice, opTable } from '../../src/index.js';
import { checkDeviceAgainstReference, opCases } from '../../src/testing/index.js';

describe('the table of op cases', () => {
  it('has a case for every op, and no other', () => {
    expect(Object.keys(opCases).sort()).toEqual([...opTable.keys()].sort());
  });

  it('keys every op by its own name, with loops and, when fused, a decomposition', () => {
    for (const [name, op] of opTable) {
      expect(op.name).toBe(name);
      expect(op.reference, name).toBeTypeOf('function');
    }
  });

  it.each(Object.keys(opCases))('%s: makes applications that infer accepts, the same for the same seed', (name) => {
    for (const values of ['ordinary', 'extreme', 'smooth'] as const) {
      const arbitrary = opCases[name]!.invocations({ values, maxLength: 4 });
      const [first, again] = [
        fc.sample(arbitrary, { numRuns: 10, seed: 7 }),
        fc.sample(arbitrary, { numRuns: 10, seed: 7 }),
      ];
      expect(again).toEqual(first);
      for (const { inputs, attributes } of first) {
        for (const { shape, dtype } of opTable.get(name)!.infer(inputs, attributes)) {
          expect(shape.every((size) => Number.isInteger(size) && size >= 0)).toBe(true);
          expect(dtype).toBeTypeOf('string');
        }
      }
    }
  });
});

describe('the reference device', () => {
  it('gives what the loops of each op give, through plans', async () => {
    const report = await checkDeviceAgainstReference(createReferenceDevice(), { numRuns: 10, maxLength: 4 });
    expect(Object.keys(report.compared).sort()).toEqual([...opTable.keys()].sort());
    expect(report.refused).toEqual({});
  });
});
