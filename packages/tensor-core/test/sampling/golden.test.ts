/** Logits after the processors of transformers, one by one and in the order of `generate`. */
import { describe, expect, it } from 'vitest';
import {
  type HostTensor,
  type SamplingOptions,
  type TensorLike,
  createReferenceDevice,
  processLogits,
  tensor,
} from '../../src/index.js';
import { assertClose, readBack, toTensor } from '../../src/testing/index.js';
import { goldenJson, goldenTensors } from '../support/golden.js';

type GenerationConfig = Readonly<Record<string, number | boolean>>;

interface Manifest {
  readonly cases: Readonly<Record<string, GenerationConfig>>;
  readonly processors: Readonly<Record<string, readonly string[]>>;
  /** Rows of equal logits, where transformers breaks ties of top-p by the order of its sort. */
  readonly tied_rows: readonly number[];
}

const { cases, processors, tied_rows: tiedRows } = await goldenJson<Manifest>('sampling');

const optionNames: Readonly<Record<string, keyof SamplingOptions>> = {
  do_sample: 'doSample',
  temperature: 'temperature',
  repetition_penalty: 'repetitionPenalty',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
};

/** The options of a case, its numbers passed through `number`. */
function optionsOf(name: string, ids: HostTensor, number: (value: number) => TensorLike): SamplingOptions {
  const entries = Object.entries(cases[name]!).map(([key, value]) => [
    optionNames[key]!,
    typeof value === 'number' ? number(value) : value,
  ]);
  return { ids: toTensor(ids), ...(Object.fromEntries(entries) as SamplingOptions) };
}

const numbers: Readonly<Record<string, (rows: number) => (value: number) => TensorLike>> = {
  'plain numbers': () => (value) => value,
  'run-time scalars': () => (value) => tensor(value),
  'one number per row': (rows) => (value) => tensor(new Float32Array(rows).fill(value)),
};

const row = ({ shape, data }: HostTensor, at: number): number[] => [
  ...data.subarray(at * shape[1]!, (at + 1) * shape[1]!),
];

/** Where a nucleus ends among equals, all of them stay: more than in transformers, but nothing below them. */
function expectTiesKept(actual: readonly number[], expected: readonly number[]): void {
  const smallest = Math.min(...expected.filter((value) => value > -Infinity));
  actual.forEach((value, i) => {
    if (expected[i] === -Infinity) expect([-Infinity, smallest]).toContain(value);
    else expect(value).toBe(expected[i]);
  });
}

describe.each([
  ['loops', createReferenceDevice()],
  ['primitives', createReferenceDevice({ decomposeFused: true })],
] as const)('transformers goldens through %s', (_kind, device) => {
  describe.each(Object.keys(numbers))('with %s', (way) => {
    it.each(Object.keys(cases))('%s', async (name) => {
      const golden = await goldenTensors('sampling');
      const logits = golden.get('logits')!;
      const options = optionsOf(name, golden.get('ids')!, numbers[way]!(logits.shape[0]!));
      const actual = await readBack(processLogits(toTensor(logits), options), device);
      const expected = golden.get(`${name}.scores`)!;
      const isNucleus = processors[name]!.includes('TopPLogitsWarper');
      for (let at = 0; at < logits.shape[0]!; at++) {
        if (isNucleus && tiedRows.includes(at)) {
          expectTiesKept(row(actual, at), row(expected, at));
          continue;
        }
        const asRow = (from: HostTensor): HostTensor => ({
          shape: [logits.shape[1]!],
          dtype: 'f32',
          data: Float32Array.from(row(from, at)),
        });
        assertClose(asRow(actual), asRow(expected), `${name} row ${at}`, { relative: 3e-7 });
      }
    });
  });
});
