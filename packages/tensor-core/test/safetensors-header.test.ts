import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bytesSource,
  type ByteSource,
  parseSafetensorsHeader,
  safetensorsBytes,
  SafetensorsError,
  SafetensorsReader,
} from '../src/safetensors/index.js';
import { notes, rawEntries, rawFile } from './safetensors-support.js';

const tensor = (dtype: string, shape: string, begin: number | string, end: number | string): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;

function faultOf(file: Uint8Array, fileSize = file.length): SafetensorsError {
  try {
    parseSafetensorsHeader(file, fileSize, 'x.safetensors');
  } catch (error) {
    if (error instanceof SafetensorsError) return error;
    throw error;
  }
  throw new Error('the header was accepted');
}

describe('accepted headers', () => {
  it('gives tensors in header order, metadata, and absolute places', () => {
    const text = `{"__metadata__":{"format":"pt"},"b":${tensor('F32', '[2]', 1, 9)},"a":${tensor('BOOL', '[]', 0, 1)},"none":${tensor('I64', '[0,3]', 9, 9)}} \n`;
    const header = parseSafetensorsHeader(rawFile(text, 9), rawFile(text, 9).length);
    expect([...header.tensors.keys()]).toEqual(['b', 'a', 'none']);
    expect(header.tensors.get('b')).toEqual({
      dtype: 'F32',
      shape: [2],
      byteOffset: 8 + text.length + 1,
      byteLength: 8,
    });
    expect(header.tensors.get('none')?.byteLength).toBe(0);
    expect([...header.metadata]).toEqual([['format', 'pt']]);
    expect(header.dataOffset).toBe(8 + text.length);
  });

  it('takes names that a plain object would trip over, and fields it does not know', () => {
    const text = `{"constructor":${tensor('U8', '[1]', 0, 1)},"toString":${tensor('U8', '[1]', 1, 2).replace('{', '{"note":[{"deep":1.5e3}],')}}`;
    expect([...parseSafetensorsHeader(rawFile(text, 2), 10 + text.length).tensors.keys()]).toEqual([
      'constructor',
      'toString',
    ]);
  });

  it('takes an empty file of tensors', () => {
    expect(parseSafetensorsHeader(rawFile('{}'), 10).tensors.size).toBe(0);
  });
});

describe('refused headers', () => {
  const f32 = (begin: number, end: number): string => tensor('F32', '[1]', begin, end);
  it.each<[string, Uint8Array, string, RegExp]>([
    ['no bytes', new Uint8Array(0), 'truncated', /has 0 bytes, a header needs at least 8/],
    ['seven bytes', new Uint8Array(7), 'truncated', /has 7 bytes/],
    [
      'length 2^64 - 1',
      rawFile('{}', 0, 2n ** 64n - 1n),
      'limit',
      /claims 18446744073709551615 bytes, the limit is 100000000/,
    ],
    ['length 2^53 + 1', rawFile('{}', 0, 2n ** 53n + 1n), 'limit', /claims 9007199254740993 bytes/],
    ['length past 100 MB', rawFile('{}', 0, 100_000_001), 'limit', /claims 100000001/],
    ['length past the file', rawFile('{}', 0, 3), 'truncated', /claims 3 bytes, the file has 2 after its length/],
    ['length 0', rawFile(''), 'header', /does not start with "\{"/],
    ['an array', rawFile('[]'), 'header', /does not start/],
    ['a byte order mark', rawFile('\ufeff{}'), 'header', /does not start/],
    ['invalid UTF-8', rawFile(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d)), 'header', /not valid UTF-8/],
    ['cut JSON', rawFile('{"a":'), 'header', /JSON has expected a value, found the end/],
    ['text after the object', rawFile('{}x'), 'header', /unexpected "x" after the end/],
    ['NUL padding', rawFile('{}\0'), 'header', /unexpected "\\u0000"/],
    ['trailing comma', rawFile('{"a":1,}'), 'header', /expected a string/],
    ['unpaired surrogate', rawFile('{"\\ud800":1}'), 'header', /unpaired surrogate/],
    ['bad escape', rawFile('{"\\x":1}'), 'header', /bad escape/],
    ['control character in a name', rawFile('{"\n":1}'), 'header', /control character/],
    ['control character in the message', rawFile('{\u007f}'), 'header', /expected a string, found "\\u007f"/],
    ['leading zero', rawFile(`{"a":${tensor('U8', '[01]', 0, 1)}}`, 1), 'header', /expected "]"/],
    ['endless number', rawFile(`{"a":${'9'.repeat(65)}}`), 'limit', /a number of 65 characters/],
    ['duplicate names', rawFile(`{"a":${f32(0, 4)},"a":${f32(0, 4)}}`, 4), 'name', /key "a" appears twice/],
    [
      'duplicate names through an escape',
      rawFile(`{"a":${f32(0, 4)},"\\u0061":${f32(4, 8)}}`, 8),
      'name',
      /appears twice/,
    ],
    [
      'duplicate fields',
      rawFile('{"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]}}', 1),
      'name',
      /"dtype" appears twice/,
    ],
    ['__proto__ as a name', rawFile(`{"__proto__":${f32(0, 4)}}`, 4), 'name', /"__proto__" is not allowed/],
    ['__proto__ in metadata', rawFile('{"__metadata__":{"__proto__":"x"}}'), 'name', /"__proto__"/],
    ['__proto__ through an escape', rawFile('{"\\u005f_proto__":1}'), 'name', /"__proto__"/],
    ['deep arrays', rawFile(`{"a":${'['.repeat(100_000)}`), 'limit', /nesting deeper than 8/],
    ['deep objects', rawFile('{"a":'.repeat(50_000)), 'limit', /nesting deeper than 8/],
    ['too many values', rawFile(`{"a":[${'0,'.repeat(4_200_000)}0]}`), 'limit', /more than 4194304 values/],
    ['metadata that is no object', rawFile('{"__metadata__":[]}'), 'header', /__metadata__ is not an object/],
    ['metadata that is no text', rawFile('{"__metadata__":{"a":1}}'), 'header', /entry "a" is not a string/],
    ['a tensor that is no object', rawFile('{"a":1}'), 'header', /tensor "a": its entry is not an object/],
    ['no dtype', rawFile('{"a":{"shape":[],"data_offsets":[0,0]}}'), 'dtype', /dtype is missing/],
    [
      'unknown dtype',
      rawFile(`{"a":${tensor('Q4_K', '[1]', 0, 4)}}`, 4),
      'dtype',
      /unknown dtype "Q4_K"; convert the tensor to one of BOOL/,
    ],
    ['inherited dtype', rawFile(`{"a":${tensor('toString', '[1]', 0, 4)}}`, 4), 'dtype', /unknown dtype "toString"/],
    ['no shape', rawFile('{"a":{"dtype":"U8","data_offsets":[0,0]}}'), 'shape', /shape is missing or not an array/],
    ['negative dimension', rawFile(`{"a":${tensor('U8', '[-1]', 0, 1)}}`, 1), 'shape', /holds "-1"/],
    ['negative zero', rawFile(`{"a":${tensor('U8', '[-0]', 0, 0)}}`), 'shape', /not an integer/],
    ['fractional dimension', rawFile(`{"a":${tensor('U8', '[1.5]', 0, 1)}}`, 1), 'shape', /holds "1.5"/],
    [
      'dimension of 2^53',
      rawFile(`{"a":${tensor('U8', '[9007199254740992]', 0, 1)}}`, 1),
      'shape',
      /holds "9007199254740992"/,
    ],
    ['infinite dimension', rawFile(`{"a":${tensor('U8', '[1e999]', 0, 1)}}`, 1), 'shape', /holds "Infinity"/],
    ['text dimension', rawFile(`{"a":${tensor('U8', '["1"]', 0, 1)}}`, 1), 'shape', /holds "1"/],
    ['nested dimension', rawFile(`{"a":${tensor('U8', '[[1]]', 0, 1)}}`, 1), 'shape', /holds an object or array/],
    [
      'product past 2^53',
      rawFile(`{"a":${tensor('U8', '[94906267,94906267]', 0, 1)}}`, 1),
      'shape',
      /more than 2\^53 bytes/,
    ],
    [
      'product past 2^64 that wraps to 4',
      rawFile(`{"a":${tensor('U8', '[4294967297,4294967300]', 0, 4)}}`, 4),
      'shape',
      /more than 2\^53/,
    ],
    [
      'bytes past 2^53',
      rawFile(`{"a":${tensor('F64', '[2251799813685248]', 0, 8)}}`, 8),
      'shape',
      /more than 2\^53 bytes/,
    ],
    [
      'overflow hidden by a zero',
      rawFile(`{"a":${tensor('U8', '[9007199254740991,9007199254740991,0]', 0, 0)}}`),
      'shape',
      /2\^53/,
    ],
    [
      '33 dimensions',
      rawFile(`{"a":${tensor('U8', `[${Array(33).fill(1).join()}]`, 0, 1)}}`, 1),
      'limit',
      /33 dimensions, the limit is 32/,
    ],
    [
      'size mismatch',
      rawFile(`{"a":${tensor('F32', '[2,2]', 0, 10)}}`, 10),
      'shape',
      /\[0, 10\] hold 10 bytes, F32 \[2, 2\] needs 16/,
    ],
    ['one offset', rawFile('{"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}}', 1), 'offsets', /found 1 numbers/],
    ['backward offsets', rawFile(`{"a":${f32(4, 0)}}`, 4), 'offsets', /begin ≤ end, found \[4, 0\]/],
    ['offset past the file', rawFile(`{"a":${f32(0, 4)}}`, 3), 'truncated', /\[0, 4\] pass the file's 3 bytes/],
    [
      'offset past 2^53',
      rawFile(`{"a":${tensor('F32', '[1]', '18446744073709551612', '18446744073709551616')}}`, 4),
      'offsets',
      /not an integer/,
    ],
    [
      'overlap',
      rawFile(`{"a":${f32(0, 4)},"b":${f32(2, 6)}}`, 6),
      'offsets',
      /tensor "b": its data starts at 2, which overlaps .* \(expected 4\)/,
    ],
    ['same place twice', rawFile(`{"a":${f32(0, 4)},"b":${f32(0, 4)}}`, 4), 'offsets', /overlaps/],
    [
      'hole between tensors',
      rawFile(`{"a":${f32(0, 4)},"b":${f32(5, 9)}}`, 9),
      'offsets',
      /tensor "b": its data starts at 5, which leaves a hole/,
    ],
    ['hole at the start', rawFile(`{"a":${f32(1, 5)}}`, 5), 'offsets', /leaves a hole/],
    [
      'bytes after the last tensor',
      rawFile(`{"a":${f32(0, 4)}}`, 6),
      'offsets',
      /cover 4 bytes of data, the file has 6/,
    ],
    ['data and no tensors', rawFile('{}', 1), 'offsets', /cover 0 bytes/],
  ])('%s', (_, file, code, message) => {
    const error = faultOf(file);
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(error.file).toBe('x.safetensors');
    expect(error.message).toMatch(/^x\.safetensors: [^\n]+; [^\n]+$/);
  });

  it('too many tensors', () => {
    const entry = tensor('U8', '[0]', 0, 0);
    const names = Array.from({ length: 262_145 }, (_, i) => `"${i}":${entry}`);
    expect(faultOf(rawFile(`{${names.join()}}`)).message).toMatch(
      /262145 tensors, the limit is 262144|more than \d+ values/,
    );
  });

  it('keeps messages short and on one line, whatever the names', () => {
    const error = faultOf(rawFile(`{"${'n\\n\\u2028'.repeat(5000)}":1}`));
    expect(error.message.length).toBeLessThan(1200);
    expect(error.message).not.toMatch(/[\n\u2028]/);
  });

  it('asks a source for no more than eight bytes when the length lies', async () => {
    const asked: number[] = [];
    const liar: ByteSource = {
      size: 2 ** 50,
      async read(_, length) {
        asked.push(length);
        return Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 0);
      },
    };
    await expect(SafetensorsReader.open(liar, 'liar')).rejects.toThrow(/liar: the header claims 4294967296 bytes/);
    expect(asked).toEqual([8]);
  });
});

describe('fuzzed files end in a result or a SafetensorsError', () => {
  /** Reads a file as a user would; every failure but a SafetensorsError escapes. */
  async function survive(file: Uint8Array): Promise<boolean> {
    try {
      const reader = await SafetensorsReader.open(bytesSource(file), 'fuzz');
      for (const name of reader.names())
        expect((await reader.read(name)).data.byteLength).toBe(reader.info(name).byteLength);
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(SafetensorsError);
      expect((error as Error).message).not.toMatch(/\n/);
      return false;
    }
  }

  it('random bytes, random headers behind a right length', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => void (await survive(bytes))),
      { numRuns: 800 },
    );
    const fragment = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"dtype"',
      '"F32"',
      '"shape"',
      '"data_offsets"',
      '0',
      '4',
      '-1',
      '1e9',
      'null',
      '"__proto__"',
      ' ',
      '\\',
      '"',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fragment, { maxLength: 30 }),
        fc.nat(8),
        async (parts, data) => void (await survive(rawFile(`{${parts.join('')}`, data))),
      ),
      { numRuns: 800 },
    );
  });

  it('valid files with bytes changed, removed, repeated or cut', async () => {
    const mutation = fc.oneof(
      fc.record({ kind: fc.constant('set'), at: fc.nat(), value: fc.nat(255) }),
      fc.record({ kind: fc.constant('digit'), at: fc.nat(), value: fc.integer({ min: 0x2c, max: 0x3a }) }),
      fc.record({ kind: fc.constant('cut'), at: fc.nat(), value: fc.constant(0) }),
      fc.record({ kind: fc.constant('remove'), at: fc.nat(), value: fc.nat(20) }),
      fc.record({ kind: fc.constant('repeat'), at: fc.nat(), value: fc.nat(20) }),
    );
    const mutate = (file: number[], { kind, at, value }: { kind: string; at: number; value: number }): number[] => {
      const place = file.length === 0 ? 0 : at % file.length;
      if (kind === 'cut') return file.slice(0, place);
      if (kind === 'remove') return [...file.slice(0, place), ...file.slice(place + value)];
      if (kind === 'repeat') return [...file.slice(0, place + value), ...file.slice(place)];
      return file.map((byte, i) => (i === place ? value : byte));
    };
    let [accepted, refused] = [0, 0];
    await fc.assert(
      fc.asyncProperty(
        rawEntries,
        notes,
        fc.array(mutation, { maxLength: 3 }),
        async (entries, metadata, mutations) => {
          const file = Uint8Array.from(mutations.reduce(mutate, [...(await safetensorsBytes(entries, metadata))]));
          if (await survive(file)) accepted++;
          else refused++;
        },
      ),
      { numRuns: 2000 },
    );
    expect(Math.min(accepted, refused)).toBeGreaterThan(200); // both ways were exercised
  });
});
