import { readFile, readdir, truncate, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { mindseye, refuse, succeed } from './support/command.js';
import { useWorkspace } from './support/workspace.js';

describe('eval', () => {
  const { at } = useWorkspace();
  const evaluation = (...more: string[]): string[] => [
    'eval',
    '--model',
    at('model'),
    '--adapter',
    at('adapter'),
    '--task',
    'counting',
    '--limit',
    '6',
    ...more,
  ];

  beforeAll(async () => {
    const livr = [
      '--task',
      'counting',
      '--examples',
      '2',
      '--batch-size',
      '2',
      '--epochs',
      '1,1',
      '--latents',
      '3',
      '--lora-rank',
      '2',
    ];
    await succeed('train', '--model', at('model'), '--output', at('adapter'), ...livr);
  });

  test('prints accuracy with its interval and the baselines', async () => {
    expect(await succeed(...evaluation())).toMatch(/accuracy .* of 6; 95 % Wilson interval .*chance +11\.1 %/s);
    const { summary } = JSON.parse(await succeed(...evaluation('--json')));
    expect(summary).toMatchObject({ n: 6, interval: { method: 'wilson', confidence: 0.95 }, chance: 1 / 9 });
  });

  test('the audit asks under every condition and gives both verdicts in words', async () => {
    const text = await succeed(...evaluation('--audit', '--output', at('audit.jsonl')));
    expect(text).toMatch(/removal .*with, .*without.*bottleneck .*through the bottleneck/s);
    const names = (await readdir(at())).filter((name) => name.startsWith('audit'));
    expect(names.sort()).toEqual([
      'audit.bottleneck-no-latents.jsonl',
      'audit.bottleneck.jsonl',
      'audit.jsonl',
      'audit.no-latents.jsonl',
    ]);
    await refuse(evaluation('--audit', '--condition', 'bottleneck'), 2, /--audit runs every condition/);
    await refuse(['eval', '--model', at('model'), '--task', 'counting', '--audit'], 1, /has no latent tokens to audit/);
  });

  test('an interrupted evaluation is resumed to the same records', async () => {
    await succeed(...evaluation('--output', at('whole.jsonl')));
    const stopped = await mindseye(evaluation('--output', at('parts.jsonl')), { interruptAt: ' 3/6 ' });
    expect(stopped.code).toBe(130);
    expect(stopped.stderr).toMatch(/error: interrupted; the same command with --resume goes on/);
    await refuse(evaluation('--output', at('parts.jsonl')), 1, /is there already; --resume to go on with it/);
    // As if the disk had been full in the middle of a line.
    await truncate(at('parts.jsonl'), (await readFile(at('parts.jsonl'))).length - 10);
    await succeed(...evaluation('--output', at('parts.jsonl'), '--resume'));
    expect(await readFile(at('parts.jsonl'), 'utf8')).toBe(await readFile(at('whole.jsonl'), 'utf8'));
  });

  test('shards share the samples out', async () => {
    const shards = ['1/2', '2/2'].map((shard) => succeed(...evaluation('--shard', shard, '--json')));
    const counts = (await Promise.all(shards)).map((text) => JSON.parse(text).summary.n);
    expect(counts).toEqual([3, 3]);
    await refuse(evaluation('--shard', '3/2'), 2, /Give k\/n with 1 ≤ k ≤ n/);
  });

  test('records of something else are not gone on with', async () => {
    await writeFile(at('else.jsonl'), 'not a record\n');
    await refuse(
      evaluation('--output', at('else.jsonl'), '--resume'),
      1,
      /else\.jsonl, line 1: not a record of an evaluation/,
    );
    await succeed(...evaluation('--output', at('standard.jsonl')));
    await refuse(
      evaluation('--output', at('standard.jsonl'), '--resume', '--max-new-tokens', '3'),
      1,
      /holds records with fingerprint/,
    );
    await refuse(evaluation('--output', '/dev/full', '--resume'), 1, /not a regular file/);
    await refuse(evaluation('--resume'), 2, /--resume needs the --output file/);
    await refuse(evaluation('--limit', '5000'), 2, /the test split of counting has 2000/);
  });
});
