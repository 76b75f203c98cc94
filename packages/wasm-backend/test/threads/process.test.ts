/** What only a process of its own shows: that threads let it end, use no processor when idle, and go with their device. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from 'vitest';

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A device with three threads, and a job that is large enough for all of them. */
const PROLOGUE = `
import * as t from '@mindseye/tensor-core';
import { createWasmDevice } from '@mindseye/wasm-backend';
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const threadsOf = (device) => device.runningThreads;
async function work(device) {
  const result = t.exp(t.tensor(new Float32Array(400_000).fill(0.5)));
  await t.evaluate(result, { device });
  const [first] = await result.data();
  if (Math.abs(first - Math.exp(0.5)) > 1e-6) throw new Error('wrong: ' + first);
}
async function workOnThreads(device) {
  const until = performance.now() + 20_000;
  while (threadsOf(device) < device.threads - 1 && performance.now() < until) { await work(device); await pause(1); }
  for (let i = 0; i < 20; i += 1) await work(device);
}
`;

/** Runs a module that sees the built packages. */
function run(program: string, flags: readonly string[] = []): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, '--input-type=module', '--eval', PROLOGUE + program], {
      cwd: path.resolve(import.meta.dirname, '../..'),
      timeout: 60_000,
    });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (data: Buffer) => (output.stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => (output.stderr += data.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...output }));
  });
}

describe('a process that used threads', () => {
  test.each([
    ['when there is nothing left to do', ''],
    ['while threads are still starting', 'await work(createWasmDevice({ threads: 3 }));', ''],
    ['by process.exit', 'process.exit(0);'],
  ])('ends by itself with code 0, %s', async (_when, last, before = 'await workOnThreads(device);') => {
    const program = `const device = createWasmDevice({ threads: 3 });\n${before}\nconsole.log('done');\n${last}`;
    expect(await run(program)).toEqual({ code: 0, stdout: 'done\n', stderr: '' });
  });

  test('ends with its own error', async () => {
    const { code, stderr } = await run(`
      const device = createWasmDevice({ threads: 3 });
      await workOnThreads(device);
      throw new Error('an error of the program');`);
    expect(code).toBe(1);
    expect(stderr).toContain('Error: an error of the program');
  });

  test('starts no thread for what is small, none for one thread, and the others with the first large kernel', async () => {
    const { stdout, stderr } = await run(`
      const device = createWasmDevice({ threads: 3 });
      for (let i = 0; i < 50; i += 1) { await t.exp(t.full([10], i)).data(device); await pause(1); }
      const small = threadsOf(device);
      const alone = createWasmDevice({ threads: 1 });
      await work(alone); await pause(100); await work(alone);
      await workOnThreads(device);
      console.log(small, threadsOf(alone), threadsOf(device));`);
    expect(stderr).toBe('');
    expect(stdout).toBe('0 0 2\n');
  });

  test('uses next to no processor while its threads have nothing to do', async () => {
    const { stdout, stderr } = await run(`
      const device = createWasmDevice({ threads: 4 });
      await workOnThreads(device);
      await pause(500);
      const before = process.cpuUsage();
      await pause(1000);
      const { user, system } = process.cpuUsage(before);
      console.log((user + system) / 1e6);`);
    expect(stderr).toBe('');
    // Seconds of processor time in one second: three threads that spin would use as much as the machine has.
    expect(Number(stdout)).toBeLessThan(0.25);
  });

  test('gives the same bits on any number of threads', async () => {
    const { stdout, stderr } = await run(`
      const results = [];
      for (const threads of [1, 2, 3, 5]) {
        const device = createWasmDevice({ threads });
        const f = t.compile((x) => t.sum(t.softmax(t.matmul(x, t.transpose(x))), 0), { device });
        const x = t.tensor(Float32Array.from({ length: 300 * 200 }, (_, i) => Math.sin(i * i)), [300, 200]);
        for (let i = 0; i < 20 && threadsOf(device) < threads - 1; i += 1) { await f(x); await pause(20); }
        results.push(Buffer.from((await (await f(x)).data(device)).buffer).toString('base64'));
      }
      console.log(new Set(results).size);`);
    expect(stderr).toBe('');
    expect(stdout).toBe('1\n');
  });
});

test('threads end when nobody holds their device any more', async () => {
  const { stdout, stderr } = await run(
    `
    import { readdirSync } from 'node:fs';
    // Threads of the operating system, where it tells.
    const osThreads = () => process.platform === 'linux' ? readdirSync('/proc/self/task').length : 0;
    const use = async () => workOnThreads(createWasmDevice({ threads: 4 }));
    await use();
    const base = osThreads() - 3;
    const collect = async () => {
      for (let i = 0; i < 100 && osThreads() > base; i += 1) { globalThis.gc(); await pause(20); }
    };
    const counts = [];
    for (let i = 0; i < 5; i += 1) { await collect(); counts.push(osThreads() - base); await use(); }
    await collect();
    console.log(JSON.stringify([...counts, osThreads() - base]));`,
    ['--expose-gc'],
  );
  expect(stderr).toBe('');
  for (const more of JSON.parse(stdout) as number[]) expect(more).toBeLessThanOrEqual(0);
});
