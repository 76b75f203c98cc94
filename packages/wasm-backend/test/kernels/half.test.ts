/** Widening of every f16 and bf16 code: the core's numbers bit for bit. */
import { describe, expect, test } from 'vitest';
import type { HalfName } from '../../src/kernels/index.js';
import { allHalves } from './half-codes.js';
import { arenaFor, TIERS } from './support.js';

describe.each(TIERS)('half precision, tier %s', (tier) => {
  const arena = arenaFor(tier);
  const { kernels } = arena;

  test.each(['f16', 'bf16'] as const satisfies readonly HalfName[])(
    'every code of %s, in runs of all lengths',
    (dtype) => {
      const expected = new Uint32Array(allHalves(dtype).buffer);
      arena.reset();
      const codes = arena.bytes(2 * 2 ** 16);
      new Uint16Array(kernels.memory.buffer, codes, 2 ** 16).set(
        Uint16Array.from({ length: 2 ** 16 }, (_, code) => code),
      );
      const out = arena.output(2 ** 16);
      for (let from = 0, count = 0; from < 2 ** 16; from += count) {
        count = Math.min(2 ** 16 - from, (count + 1) % 4099);
        kernels.widen(dtype, out + 4 * from, codes + 2 * from, count);
      }
      arena.checkGuards();
      expect(new Uint32Array(kernels.memory.buffer, out, 2 ** 16).slice()).toEqual(expected);
    },
  );
});
