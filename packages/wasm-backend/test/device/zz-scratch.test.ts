import { checkDeviceAgainstReference } from '@mindseye/tensor-core/testing';
import { expect, test } from 'vitest';
import { createWasmDevice } from '../../src/index.js';
test.each(['bitcast','cumulativeSum','massThreshold','multiHot','geluTanh','geluTanhBackward','layerNormBackward','swigluBackward','softmaxBackward','rmsNormBackward','rope','softmaxCrossEntropyBackward'])('%s', async (name) => {
  for (const maxLength of [6, 40]) {
    const { compared } = await checkDeviceAgainstReference(createWasmDevice(), { ops: [name], numRuns: 40, maxLength, decomposed: true });
    expect(compared[name]).toBe(80);
  }
});
