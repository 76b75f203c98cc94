/**
 * Checks that a task's splits are what they claim: every scene once, and the same samples as when the task was released.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { SPLITS } from '../scene/scene.js';
import type { Split } from '../scene/scene.js';
import type { TaskDefinition } from './task.js';

/** How many samples of each split to look at; a split left out is looked at whole. */
export type SplitLimits = Readonly<Partial<Record<Split, number>>>;

/**
 * Checks that no scene occurs twice in train ∪ validation ∪ test. Nothing is rendered.
 *
 * @returns the number of scenes that were checked.
 * @throws Error naming the two samples that show the same scene.
 */
export function checkUniqueScenes(task: TaskDefinition, limits: SplitLimits = {}): number {
  const seen = new Map<string, string>();
  for (const split of SPLITS) {
    const size = Math.min(task.splits[split], limits[split] ?? Infinity);
    for (let index = 0; index < size; index++) {
      const { id, metadata } = task.describe(split, index);
      const other = seen.get(metadata.sceneHash);
      if (other !== undefined) {
        throw new Error(
          `${task.name} ${task.version}: ${id} shows the same scene as ${other}; change the generator version`,
        );
      }
      seen.set(metadata.sceneHash, id);
    }
  }
  return seen.size;
}

/**
 * SHA-256 over the first `count` samples of a split: id, question, answer, scene hash and every pixel. It is committed with the
 * task's version, so that no change of a generator goes unnoticed.
 */
export function splitDigest(task: TaskDefinition, split: Split, count = 100): string {
  const hash = sha256.create();
  for (let index = 0; index < Math.min(count, task.splits[split]); index++) {
    const { id, question, answer, metadata, image } = task.generate(split, index);
    hash.update(utf8ToBytes(JSON.stringify([id, question, answer, metadata.sceneHash])));
    hash.update(image.data);
  }
  return bytesToHex(hash.digest());
}
