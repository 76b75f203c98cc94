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
    catchInterrupts,
    argv: argv.slice(2),
  };
}

function catchInterrupts(): AbortSignal {
  const interruption = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // The second time nobody wants to wait.
      if (interruption.signal.aborted) process.exit(exitCodes.interrupted);
      interruption.abort();
    });
  }
  return interruption.signal;
}
