/** Runs the command in this process, with everything it says caught. */
import pc from 'picocolors';
import { expect } from 'vitest';
import { run } from '../../src/program.js';

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunConditions {
  /** Interrupts the command when it notes a line with this text. */
  readonly interruptAt?: string;
}

export async function mindseye(argv: readonly string[], { interruptAt }: RunConditions = {}): Promise<Outcome> {
  const interruption = new AbortController();
  const colors = pc.createColors(false);
  let stdout = '';
  let stderr = '';
  const code = await run(
    {
      print: (text) => (stdout += `${text}\n`),
      write: (text) => (stdout += text),
      note(text) {
        stderr += `${text}\n`;
        if (interruptAt !== undefined && text.includes(interruptAt)) interruption.abort();
      },
      isInteractive: false,
      colors,
      noteColors: colors,
      catchInterrupts: () => interruption.signal,
      whileInterruptible: (work) => work(interruption.signal),
      argv,
    },
    { debug: false },
  );
  return { code, stdout, stderr };
}

/** Runs a command that must succeed. @returns what it printed */
export async function succeed(...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await mindseye(argv);
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

/** Runs a command that must be refused: nothing printed, one line that matches, and the exit code. */
export async function refuse(argv: readonly string[], code: 1 | 2, message: RegExp): Promise<void> {
  const outcome = await mindseye(argv);
  expect(outcome.stderr).toMatch(message);
  expect(outcome.stderr).toMatch(/^error: [^\n]+\n$/);
  expect(outcome.stdout).toBe('');
  expect(outcome.code).toBe(code);
}
