/** The command line: parses it, runs one command, and turns whatever happens into an exit code. */
import { Command, CommanderError } from 'commander';
import { commands } from './commands/index.js';
import { describeError, exitCodeOf, exitCodes, oneLine } from './shared/errors.js';
import { examplesOf } from './shared/help.js';
import type { Terminal } from './shared/terminal.js';
import { version } from './shared/version.js';

export interface RunSettings {
  /** Show where an error comes from. */
  readonly debug: boolean;
}

/** Runs the command line of the terminal. @returns the exit code */
export async function run(terminal: Terminal, { debug }: RunSettings): Promise<number> {
  try {
    await program(terminal).parseAsync(terminal.argv, { from: 'user' });
    return exitCodes.success;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage;
    terminal.note(`${terminal.noteColors.red('error:')} ${describeError(error)}`);
    if (debug && error instanceof Error) terminal.note(error.stack ?? '');
    return exitCodeOf(error);
  }
}

function program(terminal: Terminal): Command {
  const root = new Command('mindseye')
    .description('ask, train, evaluate and audit vision-language models that reason in latent visual tokens')
    .version(version)
    .addHelpText('after', examplesOf('mindseye demo', 'mindseye train --help'));
  for (const create of commands) root.addCommand(create(terminal));
  for (const command of [root, ...root.commands]) {
    const help = command === root ? 'mindseye --help' : `mindseye ${command.name()} --help`;
    command.exitOverride().configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.note(text.trimEnd()),
      // commander's own form is "error: …", sometimes with a suggestion on a second line.
      outputError: (text, write) =>
        write(`${oneLine(text).replace(/^error:/, terminal.noteColors.red('error:'))} (see ${help})`),
    });
  }
  return root;
}
