/** Every op of the table on the GPU, by kernel or by decomposition, against the reference loops. */
import { opTable } from '@mindseye/tensor-core';
import { checkDeviceAgainstReference } from '@mindseye/tensor-core/testing';
import { describe, expect, test } from 'vitest';
import { kernelNames } from '../src/index.js';
import { gpu } from './support.js';

describe.each([
  ['small', 6],
  ['beyond one tile', 40],
] as const)('%s', (_name, maxLength) => {
  test.each([...opTable.keys()])('%s', async (name) => {
    const report = await checkDeviceAgainstReference(gpu, { ops: [name], numRuns: 15, maxLength, decomposed: true });
    expect(report.compared[name]).toBeGreaterThan(0);
  });
});
