/**
 * Which tokens a row has seen, as a map that a decoding loop keeps: seen bool [rows, classes].
 *
 * `multiHot(ids, classes)` makes the map of a prompt; `markSeen` adds the token of a step. What it costs is one pass over the
 * map, however long the text has become; of a map that is donated the bytes are written over.
 */
import { equal } from '../ops/compare.js';
import { arange } from '../ops/iota.js';
import { logicalOr } from '../ops/logical.js';
import { misfit } from '../ops/operands.js';
import { reshape } from '../ops/reshape.js';
import type { Tensor } from '../tensor.js';

/**
 * The map with one more token per row: seen bool [rows, classes], ids i32 [rows] → bool [rows, classes].
 *
 * An id outside 0 … classes − 1 marks nothing: -1 stands for a row that has ended.
 *
 * @throws ShapeError that names the operands when they do not fit.
 */
export function markSeen(seen: Tensor, ids: Tensor): Tensor {
  const [rows, classes] = seen.shape as [number, number];
  if (seen.dtype !== 'bool' || seen.rank !== 2 || ids.dtype !== 'i32' || ids.rank !== 1 || ids.shape[0] !== rows)
    throw misfit('markSeen', { seen, ids }, 'seen is bool [rows, classes], ids are i32 [rows]');
  return logicalOr(seen, equal(reshape(ids, [rows, 1]), arange(classes)));
}
