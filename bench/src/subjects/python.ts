/** A script of `oracle/` at work: it prints one line of JSON when it is ready and one for each line that it reads. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Json, OpenSubject, Sample } from '../process/subject.ts';
import { PYTHON_VARIABLE, pythonProgram } from '../python.ts';

interface PythonOptions {
  readonly [key: string]: Json;
  /** Name of the script without its ending. */
  readonly script: string;
  readonly options: Json;
}

export interface PythonProcess {
  /** The next answer. @throws Error when the script ends before it. */
  ask(request: 'sample' | 'details'): Promise<Json>;
}

/** @throws Error when no Python is named, or the script ends before it is ready */
export async function startPython(script: string, options: Json): Promise<PythonProcess> {
  const python = pythonProgram();
  if (!python)
    throw new Error(
      `${PYTHON_VARIABLE} is not set: let it name a Python that has the packages of oracle/requirements.txt`,
    );
  const file = fileURLToPath(new URL(`../../../oracle/${script}.py`, import.meta.url));
  const child = spawn(python, [file, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (text: Buffer) => (complaints = `${complaints}${text.toString()}`.slice(-2000)));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const answer = async (): Promise<Json> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${script}.py ended: ${complaints.trim().split('\n').at(-1) ?? 'without a word'}`);
    return JSON.parse(value) as Json;
  };
  const failure = new Promise<never>((_, reject) => {
    child.on('error', (cause) => reject(new Error(`${PYTHON_VARIABLE}=${python} does not start: ${cause.message}`)));
  });
  failure.catch(() => {});
  await Promise.race([answer(), failure]);
  return {
    ask(request) {
      child.stdin.write(`${request}\n`);
      return answer();
    },
  };
}

export const open: OpenSubject<PythonOptions> = async ({ script, options }) => {
  const python = await startPython(script, options);
  return {
    sample: async () => (await python.ask('sample')) as Sample,
    details: async () => (await python.ask('details')) as Readonly<Record<string, Json>>,
  };
};
