/** The bit check that decides whether the revectorised tier is used. */
import { describe, expect, test } from 'vitest';
import { ModuleBuilder } from '../../src/emit/index.js';
import { createWasmDevice } from '../../src/index.js';
import type { ModuleName } from '../../src/kernels/engine.js';
import { type Kernels, type Tier, createKernels } from '../../src/kernels/index.js';
import { SELF_TEST_CASES } from '../../src/kernels/self-test-cases.js';
import { SELF_TEST_PAGES } from '../../src/kernels/self-test-workspace.js';
import { kernelsToTest } from '../../src/kernels/kernels.js';
import { compileRevectorized } from '../../src/kernels/revectorize.js';
import {
  type KernelsBy,
  checkedCompile,
  chooseTier,
  firstDifference,
  forgetVerdicts,
} from '../../src/kernels/self-test.js';
import { supportsTier } from '../../src/kernels/tier.js';
import { TIERS } from './support.js';

const memory = (): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: SELF_TEST_PAGES, maximum: SELF_TEST_PAGES, shared: true });
const kernelsOn = (tier: Tier): Kernels => createKernels({ tier, memory: memory(), threads: 1 });

/** Kernels that change one bit of what one method has written: `output` finds where from its arguments. */
const corrupted = (kernels: Kernels, name: keyof Kernels, output: (...values: never[]) => number): Kernels => ({
  ...kernels,
  [name]: (...values: never[]) => {
    (kernels[name] as (...values: never[]) => void)(...values);
    new Int32Array(kernels.memory.buffer)[output(...values) / 4]! ^= 1;
  },
});

const fused = TIERS.filter((tier) => tier !== 'simd128');

describe('two sets of kernels', () => {
  test.each(fused)('%s and relaxed agree in every bit', (tier) => {
    expect(firstDifference(kernelsOn(tier), kernelsOn('relaxed'))).toBeUndefined();
  });

  test('tiers that round otherwise do not', () => {
    expect(firstDifference(kernelsOn('simd128'), kernelsOn('relaxed'))).toMatch(/^matmul differs in word \d+ of \d+$/);
  });

  test.each([
    ['matmul', 'matmul', ({ c }: { c: number }) => c],
    ['rowProducts', 'rowProducts', ({ c }: { c: number }) => c + 4],
    ['gelu', 'elementwise', (out: number) => out + 8],
    ['swiglu', 'elementwise', (out: number) => out],
    ['softmax', 'rows', (y: number) => y + 4 * 74],
    ['softmaxCrossEntropy', 'rows', ({ loss }: { loss: number }) => loss],
    ['rmsNormBackward', 'rmsNorm', ({ dx }: { dx: number }) => dx],
    ['attention', 'attention', ({ y }: { y: number }) => y],
    ['attentionBackward', 'attentionBackward', ({ dk }: { dk: number }) => dk],
    ['rope', 'rope', ({ y }: { y: number }) => y],
    ['adamwStep', 'adamw', ({ secondMoment }: { secondMoment: number }) => secondMoment],
    ['layerNorm', 'layerNorm', ({ y }: { y: number }) => y],
    ['scatterAdd', 'scatterAdd', (_dtype: string, { y }: { y: number }) => y],
    ['dropout', 'dropout', ({ y }: { y: number }) => y],
    ['quantizedRowProducts', 'quantizedRowProducts', ({ c }: { c: number }) => c],
    ['dequantize', 'dequantize', ({ out }: { out: number }) => out],
  ] as const)('one wrong bit of %s shows', (name, family, output) => {
    const wrong = corrupted(kernelsOn('relaxed'), name, output as (...values: never[]) => number);
    expect(firstDifference(wrong, kernelsOn('relaxed'))).toMatch(new RegExp(`^${family} differs in word \\d+ of`));
  });

  test('a kernel that fails is a difference', () => {
    const failing = {
      ...kernelsOn('relaxed'),
      rope: () => {
        throw new WebAssembly.RuntimeError('unreachable');
      },
    };
    expect(firstDifference(failing, kernelsOn('relaxed'))).toBe('rope: unreachable');
  });

  test('every family is looked at', () => {
    const called = new Set<string>();
    const kernels = kernelsOn('relaxed');
    const watched = new Proxy(kernels, {
      get(target, name: keyof Kernels) {
        if (typeof target[name] === 'function') called.add(name);
        return target[name];
      },
    });
    firstDifference(watched, kernelsOn('relaxed'));
    const all = Object.entries(kernels).flatMap(([name, value]) => (typeof value === 'function' ? [name] : []));
    expect(all.filter((name) => !called.has(name)).toSorted()).toEqual(EXACT);
    expect(SELF_TEST_CASES.length).toBeGreaterThan(8);
  });
});

/** Kernels of whole numbers and moves, in which there is nothing to round. */
const EXACT: readonly string[] = [
  'argmax',
  'copyRuns',
  'cutPatches',
  'fill',
  'gather',
  'iota',
  'randomWords',
  'resample',
  'transpose',
];

const byWay: KernelsBy = (compile) => kernelsToTest(true, compile);
const best = (['revectorized', 'relaxed', 'simd128'] as const).find(supportsTier);
/** Kernels whose joined code is made in another way. */
const joinedBy =
  (joined: (kernels: KernelsBy) => Kernels): KernelsBy =>
  (compile) =>
    compile === compileRevectorized ? joined(byWay) : byWay(compile);

/** Which of some families are compiled joined when the joined code is that of `kernelsBy`. */
function joinedFamilies(kernelsBy: KernelsBy, families: readonly ModuleName[]): ModuleName[] {
  forgetVerdicts();
  const compile = checkedCompile('revectorized', kernelsBy);
  return families.filter((family) => {
    const bytes = new ModuleBuilder({ sharedMemory: true, label: family }).encode();
    // The unjoined way adds a section, so that V8 does not return the code it knows.
    return WebAssembly.Module.customSections(compile(bytes, { family, sharedMemory: true }), 'plain').length === 0;
  });
}

describe.runIf(best === 'revectorized')('what is joined', () => {
  test('every family that passes; none that has no case', () => {
    expect(joinedFamilies(byWay, ['matmul', 'activation', 'gather', 'expressions', 'transfer'])).toEqual([
      'matmul',
      'activation',
      'expressions',
    ]);
    expect(chooseTier(true).reason()).toMatch(/pass a bit check before they are first used$/);
  });

  test('not the family with one wrong result, and why is told', () => {
    const wrong = joinedBy((by) => corrupted(by(compileRevectorized), 'exp', (out: number) => out));
    expect(joinedFamilies(wrong, ['elementwise', 'rope'])).toEqual(['rope']);
    expect(chooseTier(true).reason()).toMatch(/not joined: elementwise differs in word \d+ of \d+$/);
  });

  test('no family whose code has one wrong bit in a constant', () => {
    const wrong = joinedBy((by) => by((bytes) => compileRevectorized(withWrongConstant(bytes))));
    expect(joinedFamilies(wrong, ['softmax', 'adamW'])).toEqual(['adamW']);
  });

  test('nothing where joined code cannot be compiled', () => {
    const failing = joinedBy(() => {
      throw new RangeError('out of code space');
    });
    expect(joinedFamilies(failing, ['rope'])).toEqual([]);
    expect(chooseTier(true).reason()).toMatch(/: out of code space$/);
  });
});

describe('the tier that is chosen', () => {
  test('is the best of the engine', () => {
    forgetVerdicts();
    expect(chooseTier(true).tier).toBe(best);
    const { tier, tierReason } = createWasmDevice().report();
    expect(tier).toBe(best);
    expect(tierReason).toMatch(/^(this engine joins instructions|the best that)/);
  });

  test('is never the revectorised one where it is switched off', () => {
    const { tier, reason } = chooseTier(false);
    expect(tier).toBe((['relaxed', 'simd128'] as const).find(supportsTier));
    expect(reason()).toContain('switched off');
    expect(createWasmDevice({ revectorize: false }).report()).toMatchObject({ tier });
  });

  test('that is asked for is given', () => {
    for (const tier of TIERS)
      expect(createWasmDevice({ tier }).report()).toMatchObject({ tier, tierReason: 'asked for' });
  });
});

/** The cubic coefficient of every exponential, with its lowest bit flipped. */
function withWrongConstant(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const pattern = new Uint8Array(Float32Array.of(2 * 0.16666521).buffer);
  const changed = bytes.slice();
  let found = 0;
  for (let at = 0; at + 4 <= changed.length; at += 1)
    if (pattern.every((byte, i) => bytes[at + i] === byte)) {
      changed[at]! ^= 1;
      found += 1;
    }
  return found === 0 ? bytes : changed;
}
