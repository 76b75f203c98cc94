/** The first result of a process, in a new process for each sample. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { EngineName } from '../engines.ts';
import type { Json, OpenSubject, Sample } from '../process/subject.ts';

interface StartUpOptions {
  readonly [key: string]: Json;
  readonly engine: EngineName;
}

const program = fileURLToPath(new URL('../start-up/first-result.ts', import.meta.url));

export const open: OpenSubject<StartUpOptions> = ({ engine }) =>
  Promise.resolve({
    async sample() {
      const { stdout } = await promisify(execFile)(process.execPath, [program, engine]);
      return JSON.parse(stdout) as Sample;
    },
    details: () => Promise.resolve({}),
  });
