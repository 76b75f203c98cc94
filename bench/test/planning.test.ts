/** That plans of true size can be measured, and that they keep to the memory they are held to. How fast decides no test. */
import { expect, test } from 'vitest';
import { benchmarks } from '../src/benchmarks.ts';
import { activationMinimum } from '../src/planning/minimum.ts';
import { TRAINED_TOKENS, lora, textConfig } from '../src/planning/model-3b.ts';
import { describeResult, runBenchmark } from '../src/run-benchmark.ts';

test('the minimum for Qwen2.5-VL-3B, LoRA of rank 16 and 1024 tokens', () => {
  const minimum = activationMinimum({ config: textConfig, tokens: TRAINED_TOKENS, rank: lora.rank });
  // Counted by hand with activations of 2 bytes: 92,168, of which 520 (log-sum-exp, LoRA inputs, factors) are f32 already.
  expect(minimum.perTokenAndLayer).toBe(2 * (92_168 - 520) + 520);
  expect(minimum.allKept).toBe(36 * 1024 * 183_816);
  expect(minimum.checkpointed).toBe(36 * 1024 * 4 * 2048 + 1024 * 183_816);
});

test('a quick planning benchmark: plans, times, and arenas within 1.3 times the minimum', async () => {
  const benchmark = benchmarks['planning']!;
  const result = await runBenchmark('planning', benchmark, { quick: true }, () => {});
  expect(result.failures).toEqual({});
  const { metrics, details } = result.subjects[0]!;
  for (const [name, { median }] of Object.entries(metrics)) expect(median, name).toBeGreaterThan(0);
  expect(metrics['training arena, all kept: × minimum']!.median).toBeLessThan(1.3);
  expect(metrics['training arena, checkpointed: × minimum']!.median).toBeLessThan(1.3);
  expect(details).toMatchObject({
    decode: { nodes: expect.any(Number), steps: expect.any(Number), arenaBytes: expect.any(Number) },
    training: { allKept: { recomputedSteps: 0 }, checkpointed: { recomputedSteps: expect.any(Number) } },
  });
  expect(describeResult(benchmark, result)).toMatch(/known structure: ms: wasm\s+\S+\s+≤ 50\s+(met|missed)/);
});
