/** The script of the page and of its worker: runs the program with the seed of its address, and leaves the report. */
import { run } from './program.js';

const seed = Number(new URL(location.href).searchParams.get('seed'));
const report = run(seed).then(
  (value) => ({ value }),
  (error: unknown) => ({ error: String(error) }),
);
if (typeof document === 'undefined') void report.then((result) => postMessage(result));
else Object.assign(globalThis, { report });
