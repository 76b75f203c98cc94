/**
 * Writes test/goldens/generated-tasks.json: version and digest of the first 100 samples of each split. To be run
 * when a generator was changed on purpose and its version with it:
 *
 *   pnpm --filter @mindseye/eval goldens
 */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { SPLITS, counting, perception, splitDigest } from '@mindseye/eval';

const goldens = Object.fromEntries(
  [counting, perception].map((task) => [
    task.name,
    {
      version: task.version,
      digests: Object.fromEntries(SPLITS.map((split) => [split, splitDigest(task, split)])),
    },
  ]),
);

const folder = new URL('../test/goldens/', import.meta.url);
const file = new URL('generated-tasks.json', folder);
const temporary = new URL('.generated-tasks.json.tmp', folder);
await mkdir(folder, { recursive: true });
await writeFile(temporary, `${JSON.stringify(goldens, null, 2)}\n`);
await rename(temporary, file);
