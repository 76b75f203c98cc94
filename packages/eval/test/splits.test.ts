import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import type { TaskDefinition } from '../src/index.js';
import { SPLITS, checkUniqueScenes, counting, getTask, perception, splitDigest, tasks } from '../src/index.js';

test('no counting scene occurs twice in train, validation and test together', () => {
  expect(checkUniqueScenes(counting)).toBe(14_000);
});

test('no perception scene occurs twice in validation and test, nor in the first 5,000 of train', () => {
  expect(checkUniqueScenes(perception, { train: 5000 })).toBe(9000);
});

test('no scene that perception trains on occurs in the counting test split', () => {
  const tested = new Set(
    Array.from({ length: 2000 }, (_, index) => counting.describe('test', index).metadata.sceneHash),
  );
  for (let index = 0; index < 5000; index++) {
    expect(tested.has(perception.describe('train', index).metadata.sceneHash)).toBe(false);
  }
});

test('a repeated scene is found and both samples are named', () => {
  const repeating: TaskDefinition = {
    ...counting,
    describe: (split, index) => ({ ...counting.describe(split, index % 7), id: `counting/${split}/${index}` }),
  };
  expect(() => checkUniqueScenes(repeating)).toThrow('counting/train/7 shows the same scene as counting/train/0');
});

describe('the samples are those of the release', async () => {
  const goldens: Record<string, { version: string; digests: Record<string, string> }> = JSON.parse(
    await readFile(new URL('./goldens/generated-tasks.json', import.meta.url), 'utf8'),
  );
  for (const task of [counting, perception]) {
    test.each(SPLITS)(`${task.name} %s`, (split) => {
      expect(goldens[task.name]?.version).toBe(task.version);
      expect(splitDigest(task, split), 'changed samples need a new version and `pnpm goldens`').toBe(
        goldens[task.name]?.digests[split],
      );
    });
  }
});

test('a task is found by name, and a wrong name is answered with the right ones', () => {
  expect(getTask('counting')).toBe(counting);
  expect(() => getTask('counting2')).toThrow('there is no task "counting2"; choose one of counting, perception');
  expect(() => getTask('toString')).toThrow('there is no task "toString"');
  for (const [name, task] of Object.entries(tasks)) expect(task.name).toBe(name);
});
