/** The `mindseye` command. */
import { run } from './program.js';
import { exitCodes } from './shared/errors.js';
import { processTerminal } from './shared/terminal.js';

// A reader that has seen enough, such as `head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.success);
  throw error;
});

process.exitCode = await run(processTerminal(), { debug: process.env['MINDSEYE_DEBUG'] === '1' });
