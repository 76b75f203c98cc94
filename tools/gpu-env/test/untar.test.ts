import fc from 'fast-check';
import { expect, test } from 'vitest';
import { untar } from '../untar.ts';

const BLOCK = 512;

/** One entry as a ustar writer lays it out: only the fields the reader looks at. */
const entry = (name: string, bytes: Uint8Array, type = '0', size = bytes.length): Uint8Array => {
  const block = new Uint8Array(BLOCK + Math.ceil(bytes.length / BLOCK) * BLOCK);
  const put = (text: string, at: number): void => block.set(new TextEncoder().encode(text), at);
  put(name, 0);
  put(size.toString(8).padStart(11, '0'), 124);
  put(type, 156);
  block.set(bytes, BLOCK);
  return block;
};

const archive = (...entries: readonly Uint8Array[]): Uint8Array =>
  Buffer.concat([...entries, new Uint8Array(2 * BLOCK)]);

test('reads back what was written, in order', () => {
  const files = fc.array(
    fc.record({
      name: fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8}){0,2}$/),
      bytes: fc.uint8Array({ maxLength: 1500 }),
    }),
    { maxLength: 5 },
  );
  fc.assert(
    fc.property(files, (written) => {
      const read = [...untar(archive(...written.map(({ name, bytes }) => entry(name, bytes))))];
      expect(read.map(({ name, bytes }) => [name, [...bytes]])).toEqual(
        written.map(({ name, bytes }) => [name, [...bytes]]),
      );
    }),
    { numRuns: 50 },
  );
});

test('skips folders', () => {
  expect([...untar(archive(entry('fonts/', new Uint8Array(0), '5')))]).toEqual([]);
});

test.each([
  ['a path that climbs out', entry('../x', new Uint8Array(1)), /"\.\.\/x" leaves its folder/],
  ['an absolute path', entry('/x', new Uint8Array(1)), /"\/x" leaves its folder/],
  ['a size beyond the end', entry('x', new Uint8Array(1), '0', 1 << 20), /size 1048576 does not fit/],
  ['a link', entry('x', new Uint8Array(0), '2'), /type "2" is not supported/],
])('refuses %s', (_, bytes, message) => {
  expect(() => [...untar(archive(bytes))]).toThrow(message);
});
