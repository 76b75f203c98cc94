/** The trained model that comes with the repository. */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { succeed } from './support/command.js';

const example = path.join(import.meta.dirname, '..', '..', '..', 'examples', 'tiny-livr');
const folders = ['--model', path.join(example, 'model'), '--adapter', path.join(example, 'adapter')];

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'mindseye-example-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

test('the demo answers both example pictures with a count, and draws where the latents looked', async () => {
  const heatmap = path.join(folder, 'looked.png');
  const { answers } = JSON.parse(await succeed('demo', '--heatmap', heatmap, '--json')) as {
    readonly answers: readonly { readonly answer: string; readonly throughLatents: string }[];
  };
  expect(answers).toHaveLength(2);
  for (const { answer, throughLatents } of answers) {
    expect(answer).toMatch(/^([2-9]|10)$/);
    expect(throughLatents).toMatch(/^([2-9]|10)$/);
  }
  expect((await stat(heatmap)).size).toBeGreaterThan(10_000);
});

test('it counts well above chance on scenes it never saw, also when only the latents see them', async () => {
  for (const [condition, least] of [
    ['standard', 0.65],
    ['bottleneck', 0.25],
  ] as const) {
    const options = ['--task', 'counting', '--limit', '90', '--condition', condition, '--json'];
    const { summary } = JSON.parse(await succeed('eval', ...folders, ...options)) as {
      readonly summary: { readonly accuracy: number; readonly chance: number };
    };
    expect(summary.chance).toBeCloseTo(1 / 9);
    expect(summary.accuracy).toBeGreaterThan(least);
  }
});

test('its record says how it was made', async () => {
  const record = JSON.parse(await readFile(path.join(example, 'adapter', 'training.json'), 'utf8')) as {
    readonly command: string;
    readonly identity: { readonly method: string; readonly seed: number };
  };
  expect(record.command).toMatch(/^mindseye train .*--method livr/);
  expect(record.identity).toMatchObject({ method: 'livr', seed: 0 });
});
