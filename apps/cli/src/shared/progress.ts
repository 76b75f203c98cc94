/** Progress on the error stream: a bar that redraws itself on a terminal, else a plain line at each tenth of the way. */
import { SingleBar } from 'cli-progress';
import type { Terminal } from './terminal.js';

export interface Progress {
  /** @param remark short text behind the numbers */
  update(done: number, remark?: string): void;
  stop(): void;
}

export function startProgress(terminal: Terminal, label: string, total: number): Progress {
  return terminal.isInteractive ? bar(label, total) : plainLines(terminal, label, total);
}

function bar(label: string, total: number): Progress {
  const drawn = new SingleBar({
    format: `${label} {bar} {value}/{total}  {remark}  {eta_formatted} left`,
    barCompleteChar: '━',
    barIncompleteChar: '─',
    barsize: 24,
    hideCursor: true,
    // Interrupts are the command's own business.
    gracefulExit: false,
    stream: process.stderr,
  });
  drawn.start(total, 0, { remark: '' });
  return {
    update: (done, remark = '') => drawn.update(done, { remark }),
    stop: () => drawn.stop(),
  };
}

function plainLines({ note }: Terminal, label: string, total: number): Progress {
  let tenths = 0;
  return {
    update(done, remark = '') {
      const reached = Math.floor((10 * done) / total);
      if (reached <= tenths) return;
      tenths = reached;
      note(`${label} ${done}/${total} ${remark}`.trimEnd());
    },
    stop: () => undefined,
  };
}
