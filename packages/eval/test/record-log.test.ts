import { mkdtemp, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COUNTS, counting, evaluate, randomSolver, runHeader } from '../src/index.js';
import type { Solver } from '../src/index.js';
import { openRecordLog, readRecordFile } from '../src/node.js';

const LIMIT = 8;
const solver = randomSolver(COUNTS, 'record log test');
const header = runHeader(counting, solver, 'test', 'standard');

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'mindseye-eval-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Evaluates into `file`, going on from what is there. */
async function run(file: string, limit = LIMIT, by: Solver = solver) {
  const log = await openRecordLog(file, runHeader(counting, by, 'test', 'standard'));
  try {
    return await evaluate(counting, by, {
      split: 'test',
      limit,
      resumeFrom: log.records,
      onSample: (record) => log.append(record),
    });
  } finally {
    await log.close();
  }
}

describe('a record file', () => {
  test('holds the header and one line per sample, and nothing is left beside it', async () => {
    const file = path.join(folder, 'run.jsonl');
    const { records } = await run(file);
    const lines = (await readFile(file, 'utf8')).split('\n');
    expect(lines.length).toBe(LIMIT + 2);
    expect(JSON.parse(lines[0] ?? '')).toEqual(header);
    expect(await readRecordFile(file)).toMatchObject({ header, records });
    expect(await readdir(folder)).toEqual(['run.jsonl']);
  });

  test('that was cut anywhere after its header grows back to the same bytes', async () => {
    const file = path.join(folder, 'run.jsonl');
    await run(file);
    const whole = await readFile(file);
    const headerEnd = whole.indexOf(0x0a) + 1;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: headerEnd, max: whole.length }), async (bytes) => {
        await truncate(file, bytes);
        await run(file);
        expect((await readFile(file)).equals(whole)).toBe(true);
      }),
      { numRuns: 15 },
    );
  });

  test('of a finished run is not touched by running again, and grows with the limit', async () => {
    const file = path.join(folder, 'run.jsonl');
    const first = await run(file);
    const bytes = await readFile(file);
    expect(await run(file)).toEqual(first);
    expect((await readFile(file)).equals(bytes)).toBe(true);
    await run(file, LIMIT + 3);
    const grown = await readFile(file);
    expect(grown.subarray(0, bytes.length).equals(bytes)).toBe(true);
    expect((await readRecordFile(file)).records.length).toBe(LIMIT + 3);
  });
});

describe('a record file is refused, with its name, what is wrong and what to do', () => {
  test('when it is of another solver, and stays as it is', async () => {
    const file = path.join(folder, 'run.jsonl');
    await run(file);
    const bytes = await readFile(file);
    await expect(run(file, LIMIT, randomSolver(COUNTS, 'other weights'))).rejects.toThrow(
      `${file} holds records with fingerprint "record log test", but this run has "other weights"; give another file`,
    );
    expect((await readFile(file)).equals(bytes)).toBe(true);
  });

  test.each([
    ['is empty', '', 'has no whole line'],
    ['is half a header', '{"kind":"header"', 'has no whole line'],
    ['is no JSON', 'hello\n', 'line 1: not a record of an evaluation'],
    ['is other JSON', '[1,2]\n', 'line 1: not a record of an evaluation (field "kind" is missing)'],
    ['is null', 'null\n', 'line 1: not a record of an evaluation (it is not a JSON object)'],
    ['has a damaged line in the middle', `${JSON.stringify(header)}\n{"kind":"sam\n{}\n`, 'line 2: not a record'],
    [
      'has a record with a wrong field',
      `${JSON.stringify(header)}\n{"kind":"sample","id":7}\n`,
      'line 2: not a record of an evaluation (field "id" is 7)',
    ],
  ])('when it %s', async (_, content, message) => {
    const file = path.join(folder, 'run.jsonl');
    await writeFile(file, content);
    await expect(run(file)).rejects.toThrow(`${file}`);
    await expect(run(file)).rejects.toThrow(message);
    expect(await readFile(file, 'utf8')).toBe(content);
  });

  test('when its folder does not exist', async () => {
    const file = path.join(folder, 'none', 'run.jsonl');
    await expect(run(file)).rejects.toThrow(`cannot write ${file}: ENOENT`);
  });

  test('when it is a folder', async () => {
    await expect(run(folder)).rejects.toThrow(/is not a regular file; name a file for the records/);
  });
});
