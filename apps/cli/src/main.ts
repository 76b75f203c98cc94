/** The `mindseye` command. */
import { run } from './program.js';
import { exitCodes } from './shared/errors.js';
import { processTerminal } from './shared/terminal.js';

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The first time a command may end in good order; the second time nobody wants to wait.
    if (interruption.signal.aborted) process.exit(exitCodes.interrupted);
    interruption.abort();
  });
}
// A reader that has seen enough, such as `head`, is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.success);
  throw error;
});

process.exitCode = await run(processTerminal(interruption.signal), { debug: process.env['MINDSEYE_DEBUG'] === '1' });
