/** Keys or values that few queries meet, a few at a time. */
import { i32 } from '../../emit/index.js';
import type { FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { least } from './mask-run.js';
import { wordLocals } from './words.js';

/** Keys whose partial sums, or widened rows, lie in scratch at a time. */
export const CHUNK_KEYS = 16;

export const CHUNK_PARAMETERS = {
  stored: 'i32',
  stride: 'i32',
  storage: 'i32',
  staged: 'i32',
  width: 'i32',
  keys: 'i32',
} as const;
type ChunkLocals = Readonly<Record<keyof typeof CHUNK_PARAMETERS, Local<'i32'>>>;

/**
 * Calls `body` for at most `CHUNK_KEYS` keys at a time, as f32: those of 16 bits are widened first, so few that they stay in L1.
 * There is at least one key.
 */
export function forEachChunk(
  f: FunctionBuilder,
  stage: FunctionReference<'void'>,
  { stored, stride, storage, staged, width, keys }: ChunkLocals,
  body: (rows: Local<'i32'>, stride: Local<'i32'>, keys: Local<'i32'>) => void,
): void {
  const { rows, rowStride, together } = wordLocals(f, 'rows', 'rowStride', 'together');
  f.loop((again) => {
    f.set(together, least(keys, CHUNK_KEYS));
    f.set(rows, stored);
    f.set(rowStride, stride);
    f.if(storage, () => {
      f.callVoid(stage, storage, staged, stored, i32.mul(together, width));
      f.set(rows, staged);
      f.set(rowStride, i32.shl(width, 2));
    });
    body(rows, rowStride, together);
    f.set(stored, i32.add(stored, i32.mul(stride, together)));
    f.set(keys, i32.sub(keys, together));
    f.branchIf(again, keys);
  });
}
