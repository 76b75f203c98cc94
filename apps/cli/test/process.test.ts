/** The command as a process of its own: what only shows there. Needs the built `dist`. */
import { spawn } from 'node:child_process';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Outcome, succeed } from './support/command.js';
import { useWorkspace } from './support/workspace.js';

const MAIN = path.resolve(import.meta.dirname, '../dist/main.js');

/** Runs a program, and interrupts it when it first writes to its error stream, if it is told to. */
function execute(file: string, args: readonly string[], { interrupt = false, env = {} } = {}): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { env: { ...process.env, ...env } });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (data: Buffer) => (output.stdout += data.toString()));
    child.stderr.on('data', (data: Buffer) => {
      output.stderr += data.toString();
      if (interrupt) child.kill('SIGINT');
      interrupt = false;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, ...output }));
  });
}

const node = (...args: string[]): Promise<Outcome> => execute(process.execPath, [MAIN, ...args]);

describe('the process', () => {
  const { at } = useWorkspace();

  test('--version and --help go to stdout with exit code 0', async () => {
    const manifest = JSON.parse(await readFile(path.resolve(MAIN, '../../package.json'), 'utf8'));
    expect(await node('--version')).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: '' });
    for (const command of ['demo', 'ask', 'train', 'eval', 'init', 'inspect', 'doctor']) {
      const { code, stdout, stderr } = await node(command, '--help');
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/Usage: .*Options:.*Examples:\n {2}\$ mindseye/s);
    }
  });

  test('an error is one line without colours where no terminal is, and shows its origin only when asked', async () => {
    const args = ['ask', '--model', at('model'), '--image', 'none.png', 'How many?'];
    expect(await node(...args)).toEqual({
      code: 1,
      stdout: '',
      stderr: 'error: none.png: no such file; check the path\n',
    });
    const { stderr } = await execute(process.execPath, [MAIN, ...args], { env: { MINDSEYE_DEBUG: '1' } });
    expect(stderr).toMatch(/^error: none\.png.*\nImageError: .*\n +at /);
    expect((await node('ask', '--mdoel')).code).toBe(2);
  });

  test('an interrupt lets the step end, saves, and tells how to go on', async () => {
    const train = [
      'train',
      '--model',
      at('model'),
      '--task',
      'counting',
      '--output',
      at('stopped'),
      '--examples',
      '40',
      '--epochs',
      '50,50',
      '--batch-size',
      '4',
    ];
    const { code, stderr } = await execute(process.execPath, [MAIN, ...train], { interrupt: true });
    expect(stderr).toMatch(
      /error: interrupted after step \d+ of 1000; the same command with --resume goes on from there\n$/,
    );
    expect(code).toBe(130);
    expect(await readdir(at('stopped'))).toEqual(['checkpoint.safetensors', 'log.jsonl']);
  });

  test('a disk that takes no more leaves no half file', async () => {
    // A limit on the size of files stands in for the full disk: writing stops in the middle of the weights.
    const limited = (...args: string[]): Promise<Outcome> =>
      execute('/bin/sh', ['-c', 'ulimit -f 100; exec "$@"', 'sh', process.execPath, MAIN, ...args]);
    const init = await limited('init', at('full'), '--preset', 'nano');
    expect(init.stderr).toMatch(
      /^error: cannot write .*model\.safetensors: .*choose a folder on another file system.*\n$/,
    );
    expect(init.code).toBe(1);
    expect((await readdir(at('full'))).filter((name) => name.includes('safetensors'))).toEqual([]);

    const quick = ['--task', 'counting', '--examples', '1', '--epochs', '1,0', '--batch-size', '1'];
    const train = await limited('train', '--model', at('model'), '--output', at('adapter'), ...quick);
    expect(train.stderr).toMatch(/error: cannot write .*\.safetensors: /);
    expect(train.code).toBe(1);
    expect((await readdir(at('adapter'))).filter((name) => name.includes('safetensors'))).toEqual([]);
    await succeed('train', '--model', at('model'), '--output', at('adapter'), ...quick, '--force');
  });
});
