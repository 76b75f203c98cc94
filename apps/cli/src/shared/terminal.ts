/** What a command sees of the outside: two streams of text, whether a person is watching, and whether they want to stop. */
import pc from 'picocolors';
import { exitCodes } from './errors.js';

export type Colors = ReturnType<typeof pc.createColors>;

export interface Terminal {
  /** Results: one line, or several. */
  readonly print: (text: string) => void;
  /** Part of a result, as it comes; no line end is added. */
  readonly write: (text: string) => void;
  /** Progress and errors. */
  readonly note: (text: string) => void;
  /** Whether progress can be drawn in place. */
  readonly isInteractive: boolean;
  /** Of results. */
  readonly colors: Colors;
  /** Of progress and errors. */
  readonly noteColors: Colors;
  /**
   * From this call on an interrupt does not end the process: it aborts the signal, and the command stops in good order. For
   * commands that have something to save, and that let the event loop turn now and then.
   */
  readonly catchInterrupts: () => AbortSignal;
  /** As long as some work runs, an interrupt aborts its signal and does not end the process. */
  readonly whileInterruptible: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>;
  /** What the user typed after `mindseye`. */
  readonly argv: readonly string[];
}

/** The terminal of this process. Colours only where a terminal shows them, and never against NO_COLOR. */
export function processTerminal(): Terminal {
  const { stdout, stderr, env, argv } = process;
  const colored = (stream: NodeJS.WriteStream): Colors =>
    pc.createColors(Boolean(stream.isTTY) && !env['NO_COLOR'] && env['TERM'] !== 'dumb');
  return {
    print: (text) => stdout.write(`${text}\n`),
    write: (text) => stdout.write(text),
    note: (text) => stderr.write(`${text}\n`),
    isInteractive: Boolean(stderr.isTTY),
    colors: colored(stdout),
    noteColors: colored(stderr),
    catchInterrupts: () => listenForInterrupts().signal,
    async whileInterruptible(work) {
      const { signal, stop } = listenForInterrupts();
      try {
        return await work(signal);
      } finally {
        stop();
      }
    },
    argv: argv.slice(2),
  };
}

const INTERRUPTS = ['SIGINT', 'SIGTERM'] as const;

/** @returns the signal that an interrupt aborts, and the end of listening */
function listenForInterrupts(): { readonly signal: AbortSignal; readonly stop: () => void } {
  const interruption = new AbortController();
  const listener = (): void => {
    // The second time nobody wants to wait.
    if (interruption.signal.aborted) process.exit(exitCodes.interrupted);
    interruption.abort();
  };
  for (const name of INTERRUPTS) process.on(name, listener);
  const stop = (): void => {
    for (const name of INTERRUPTS) process.off(name, listener);
  };
  return { signal: interruption.signal, stop };
}
