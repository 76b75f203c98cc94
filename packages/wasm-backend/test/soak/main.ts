/** `pnpm soak [--minutes 10] [--seconds n] [--seed n] [--threads n]`: exits with 1 when something has grown. */
import { parseArgs } from 'node:util';
import { type Look, growthOf, soak } from './soak.ts';

const text = { type: 'string' } as const;
const { values } = parseArgs({ options: { minutes: text, seconds: text, seed: text, threads: text } });
const seconds = Number(values.seconds ?? 60 * Number(values.minutes ?? 10));
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
if (!(seconds > 0) || !Number.isInteger(seed))
  throw new RangeError('give positive minutes or seconds, and a whole seed');

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const show = (look: Look): void =>
  console.log(
    `${look.seconds.toFixed(0).padStart(5)} s  ${look.rounds} rounds  roots ${look.rootBytes} B  arena ${look.arenaBytes} B  ` +
      `wasm ${mebibytes(look.wasmBytes)}  heap ${mebibytes(look.heapBytes)}  resident ${mebibytes(look.residentBytes)}  ` +
      `threads ${look.osThreads}`,
  );

console.log(`${seconds} s, seed ${seed}`);
const report = await soak({ seconds, seed, onLook: show, ...(values.threads && { threads: Number(values.threads) }) });
show(report.late);
const growth = growthOf(report);
for (const line of growth) console.error(line);
console.log(growth.length === 0 ? 'nothing has grown' : `${growth.length} findings`);
process.exitCode = growth.length === 0 ? 0 : 1;
