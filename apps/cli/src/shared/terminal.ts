/** What a command sees of the outside: two streams of text, whether a person is watching, and whether they want to stop. */
import pc from 'picocolors';

export type Colors = ReturnType<typeof pc.createColors>;

export interface Terminal {
  /** Results: one line, or several. */
  readonly print: (text: string) => void;
  /** Progress and errors. */
  readonly note: (text: string) => void;
  /** Whether progress can be drawn in place. */
  readonly isInteractive: boolean;
  /** Of results. */
  readonly colors: Colors;
  /** Of progress and errors. */
  readonly noteColors: Colors;
  /** Aborted when the user wants the command to stop in good order. */
  readonly interrupted: AbortSignal;
  /** What the user typed after `mindseye`. */
  readonly argv: readonly string[];
}

/** The terminal of this process. Colours only where a terminal shows them, and never against NO_COLOR. */
export function processTerminal(interrupted: AbortSignal): Terminal {
  const { stdout, stderr, env, argv } = process;
  const colored = (stream: NodeJS.WriteStream): Colors => pc.createColors(stream.isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb');
  return {
    print: (text) => stdout.write(`${text}\n`),
    note: (text) => stderr.write(`${text}\n`),
    isInteractive: stderr.isTTY,
    colors: colored(stdout),
    noteColors: colored(stderr),
    interrupted,
    argv: argv.slice(2),
  };
}
