import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { narrowToBf16, narrowToF16, widenBf16, widenF16 } from '../src/numeric/half.js';
import {
  blobSource,
  bytesSource,
  encodeSafetensors,
  safetensorsBytes,
  type SafetensorsDtype,
  SafetensorsError,
  type SafetensorsEntry,
  SafetensorsReader,
} from '../src/safetensors/index.js';
import { bytesOf, notes, rawEntries } from './safetensors-support.js';

const open = async (
  entries: readonly SafetensorsEntry[],
  metadata?: Record<string, string>,
): Promise<SafetensorsReader> =>
  SafetensorsReader.open(bytesSource(await safetensorsBytes(entries, metadata)), 'memory');

describe('what is written is read', () => {
  it('any tensors and notes, from memory and from a Blob, to the last bit', async () => {
    await fc.assert(
      fc.asyncProperty(rawEntries, notes, fc.boolean(), async (entries, metadata, asBlob) => {
        const file = await safetensorsBytes(entries, metadata);
        const source = asBlob ? blobSource(new Blob([file])) : bytesSource(file);
        const reader = await SafetensorsReader.open(source, 'memory');
        expect(new Set(reader.names())).toEqual(new Set(entries.map(({ name }) => name)));
        expect(Object.fromEntries(reader.metadata)).toEqual(metadata);
        for (const { name, dtype, shape, data } of entries) {
          const read = await reader.read(name);
          expect({ dtype: read.dtype, shape: read.shape }).toEqual({ dtype, shape });
          expect(bytesOf(read.data)).toEqual(data);
          const target = new Uint8Array(read.data.byteLength);
          await reader.readBytesInto(name, target);
          expect(target).toEqual(data);
          const from = Math.floor(data.length / 3);
          const part = new Uint8Array(data.length - 2 * from);
          await reader.readRangeInto(name, from, part);
          expect(part).toEqual((data as Uint8Array).slice(from, from + part.length));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is independent of the order of entries and notes', async () => {
    await fc.assert(
      fc.asyncProperty(rawEntries, notes, async (entries, metadata) => {
        const reversedNotes = Object.fromEntries(Object.entries(metadata).toReversed());
        expect(await safetensorsBytes(entries.toReversed(), reversedNotes)).toEqual(
          await safetensorsBytes(entries, metadata),
        );
      }),
    );
  });

  it('starts every tensor at a multiple of its element size, after a header of a multiple of 8', async () => {
    await fc.assert(
      fc.asyncProperty(rawEntries, async (entries) => {
        const reader = await open(entries);
        for (const name of reader.names()) {
          const { byteOffset, byteLength, shape } = reader.info(name);
          const elements = shape.reduce((product, size) => product * size, 1);
          if (elements > 0) expect(byteOffset % (byteLength / elements)).toBe(0);
        }
      }),
    );
  });

  it('streams what data functions give, in file order, and says the length first', async () => {
    const called: string[] = [];
    const lazy = (name: string, dtype: SafetensorsDtype, values: number[]): SafetensorsEntry => ({
      name,
      dtype,
      shape: [values.length],
      data: async () => {
        called.push(name);
        return dtype === 'I32' ? Int32Array.from(values) : Uint8Array.from(values);
      },
    });
    const encoded = encodeSafetensors([lazy('small', 'U8', [1, 2]), lazy('large', 'I32', [3])]);
    expect(called).toEqual([]);
    const chunks: number[] = [];
    for await (const chunk of encoded.chunks()) chunks.push(...chunk);
    expect(called).toEqual(['large', 'small']);
    expect(chunks.length).toBe(encoded.byteLength);
    expect(chunks.slice(-6)).toEqual([3, 0, 0, 0, 1, 2]);
  });
});

describe('layout', () => {
  it('is byte for byte that of the reference implementation', async () => {
    // safetensors 0.8.0 (Python), safetensors.numpy.save of the same tensors with metadata {'format': 'pt'}.
    const header =
      '{"__metadata__":{"format":"pt"},"a.ids":{"dtype":"I64","shape":[3],"data_offsets":[0,24]},"d":{"dtype":"F64","shape":[1],' +
      '"data_offsets":[24,32]},"b.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[32,56]},"empty":{"dtype":"F32","shape":[0,4],' +
      '"data_offsets":[56,56]},"scalar":{"dtype":"F32","shape":[],"data_offsets":[56,60]},"9":{"dtype":"U32","shape":[1],"data_offsets":[60,64]},' +
      '"10":{"dtype":"I32","shape":[2],"data_offsets":[64,72]},"\uffee":{"dtype":"I32","shape":[1],"data_offsets":[72,76]},' +
      '"😀":{"dtype":"I32","shape":[1],"data_offsets":[76,80]},"é":{"dtype":"F16","shape":[2],"data_offsets":[80,84]},' +
      '"q\\"\\n\\\\\\u001f\x7f":{"dtype":"U8","shape":[1],"data_offsets":[84,85]},"z":{"dtype":"U8","shape":[1],"data_offsets":[85,86]},' +
      '"flag":{"dtype":"BOOL","shape":[3],"data_offsets":[86,89]}} ';
    const data =
      '0100000000000000feffffffffffffff00000000000100009a9999999999b93f000000000000803f0000004000004040000080400000a040' +
      '000020400500000003000000040000000100000002000000003e00b40207010001';
    const file = await safetensorsBytes(
      [
        { name: 'b.weight', dtype: 'F32', shape: [2, 3], data: Float32Array.of(0, 1, 2, 3, 4, 5) },
        { name: 'a.ids', dtype: 'I64', shape: [3], data: BigInt64Array.of(1n, -2n, 2n ** 40n) },
        { name: 'é', dtype: 'F16', shape: [2], data: Float32Array.of(1.5, -0.25) },
        { name: 'flag', dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) },
        { name: 'z', dtype: 'U8', shape: [1], data: Uint8Array.of(7) },
        { name: '10', dtype: 'I32', shape: [2], data: Int32Array.of(3, 4) },
        { name: '9', dtype: 'U32', shape: [1], data: Uint32Array.of(5) },
        { name: 'scalar', dtype: 'F32', shape: [], data: Float32Array.of(2.5) },
        { name: 'empty', dtype: 'F32', shape: [0, 4], data: new Float32Array(0) },
        { name: '\uffee', dtype: 'I32', shape: [1], data: Int32Array.of(1) },
        { name: '😀', dtype: 'I32', shape: [1], data: Int32Array.of(2) },
        { name: 'd', dtype: 'F64', shape: [1], data: Float64Array.of(0.1) },
        { name: 'q"\n\\\x1f\x7f', dtype: 'U8', shape: [1], data: Uint8Array.of(2) },
      ],
      { format: 'pt' },
    );
    const text = new TextEncoder().encode(header);
    expect(new DataView(file.buffer).getBigUint64(0, true)).toBe(BigInt(text.length));
    expect(new TextDecoder().decode(file.subarray(8, 8 + text.length))).toBe(header);
    expect(Array.from(file.subarray(8 + text.length), (byte) => byte.toString(16).padStart(2, '0')).join('')).toBe(
      data,
    );
  });
});

describe('reading as f32', () => {
  const values = Float32Array.of(0, -0, 1.5, -2.25, 65504, 1e-7, Infinity, 3.14159274);
  const floats: SafetensorsEntry[] = [
    { name: 'F32', dtype: 'F32', shape: [2, 4], data: values },
    { name: 'F64', dtype: 'F64', shape: [2, 4], data: Float64Array.from(values) },
    { name: 'F16', dtype: 'F16', shape: [2, 4], data: narrowToF16(values) },
    { name: 'BF16', dtype: 'BF16', shape: [2, 4], data: values },
  ];
  const expected: Record<string, Float32Array> = {
    F32: values,
    F64: values,
    F16: widenF16(narrowToF16(values)),
    BF16: widenBf16(narrowToBf16(values)),
  };

  it.each(Object.keys(expected))('%s', async (name) => {
    const reader = await open(floats);
    expect(await reader.readFloat32(name)).toEqual(expected[name]);
    const memory = new Float32Array(10).fill(9);
    await reader.readFloat32Into(name, memory.subarray(1, 9));
    expect(memory.subarray(1, 9)).toEqual(expected[name]);
    expect([memory[0], memory[9]]).toEqual([9, 9]);
  });

  it('converts tensors longer than the conversion buffer', async () => {
    const long = Float32Array.from({ length: 2 * 2 ** 20 + 5 }, (_, i) => i % 251);
    const reader = await open([{ name: 'long', dtype: 'BF16', shape: [long.length], data: long }]);
    expect((await reader.readFloat32('long')).every((value, i) => value === i % 251)).toBe(true);
  });

  it('gives memory of its own', async () => {
    const file = await safetensorsBytes(floats);
    const reader = await SafetensorsReader.open(bytesSource(file), 'memory');
    (await reader.readFloat32('F32')).fill(7);
    expect(await reader.readFloat32('F32')).toEqual(values);
  });
});

describe('clear refusals', () => {
  const one: SafetensorsEntry = { name: 'one', dtype: 'I64', shape: [1], data: BigInt64Array.of(1n) };

  it.each<[string, (reader: SafetensorsReader) => unknown, RegExp]>([
    [
      'unknown tensor',
      (reader) => reader.read('two'),
      /memory: tensor "two": no such tensor in this file; names\(\) lists the 1/,
    ],
    [
      'integers as f32',
      (reader) => reader.readFloat32('one'),
      /tensor "one": I64 does not convert to f32; use read\(\)/,
    ],
    ['short target', (reader) => reader.readBytesInto('one', new Uint8Array(4)), /it has 8 bytes, the target has 4/],
    [
      'a range past the end',
      (reader) => reader.readRangeInto('one', 4, new Uint8Array(5)),
      /tensor "one": bytes 4 to 9 are not all within its 8 bytes/,
    ],
    ['a range before the start', (reader) => reader.readRangeInto('one', -1, new Uint8Array(1)), /bytes -1 to 0/],
  ])('reading: %s', async (_, act, message) => {
    const reader = await open([one]);
    await expect(Promise.resolve().then(() => act(reader))).rejects.toThrow(message);
  });

  it('reading: a source that gives too little, or fails', async () => {
    const file = await safetensorsBytes([one]);
    const broken = (read: () => Promise<Uint8Array>): Promise<SafetensorsReader> =>
      SafetensorsReader.open({ size: file.length, read }, 'net.safetensors');
    await expect(broken(async () => new Uint8Array(3))).rejects.toThrow(
      /net.safetensors: bytes 0 to 8 cannot be read \(asked for 8 bytes/,
    );
    await expect(broken(() => Promise.reject(new Error('offline')))).rejects.toThrow(
      /cannot be read \(offline\); check/,
    );
    await expect(bytesSource(file).read(0, file.length + 1)).rejects.toThrow(RangeError);
    await expect(blobSource(new Blob([file])).read(-1, 2)).rejects.toThrow(RangeError);
  });

  it('reading: a tensor larger than memory', async () => {
    const size = 2 ** 52;
    const header = `{"a":{"dtype":"U8","shape":[${size}],"data_offsets":[0,${size}]}}`;
    const head = new Uint8Array(8 + header.length);
    head[0] = header.length;
    head.set(new TextEncoder().encode(header), 8);
    const read = async (offset: number, length: number): Promise<Uint8Array> => head.slice(offset, offset + length);
    const reader = await SafetensorsReader.open({ size: head.length + size, read }, 'huge');
    await expect(reader.read('a')).rejects.toThrow(/huge: tensor "a": no memory for its 4503599627370496 bytes/);
  });

  const f32 = (change: object): SafetensorsEntry => ({
    name: 'w',
    dtype: 'F32',
    shape: [2],
    data: new Float32Array(2),
    ...change,
  });
  it.each<[string, readonly SafetensorsEntry[], RegExp]>([
    ['same name twice', [f32({}), f32({})], /two entries have the same name/],
    ['reserved name', [f32({ name: '__metadata__' })], /reserved/],
    ['__proto__', [f32({ name: '__proto__' })], /reserved/],
    ['unpaired surrogate', [f32({ name: '\ud800' })], /well-formed/],
    ['unknown dtype', [f32({ dtype: 'Q8' })], /unknown dtype "Q8"/],
    ['negative size', [f32({ shape: [-2] })], /not countable/],
    ['too many dimensions', [f32({ shape: Array(33).fill(1) })], /33 dimensions/],
    [
      'wrong length',
      [f32({ shape: [3] })],
      /F32 \[3\] was given a Float32Array of 2 elements; pass a Float32Array of 3/,
    ],
    ['wrong array', [f32({ data: new Int32Array(2) })], /was given a Int32Array/],
    ['f32 for integers', [f32({ dtype: 'I32' })], /was given a Float32Array/],
  ])('writing: %s', (_, entries, message) => {
    expect(() => encodeSafetensors(entries, {}, 'out')).toThrow(message);
    expect(() => encodeSafetensors(entries, {}, 'out')).toThrow(SafetensorsError);
  });

  it('writing: notes that are not text, and a data function that breaks its word', async () => {
    expect(() => encodeSafetensors([], { epoch: 3 as unknown as string })).toThrow(
      /metadata entry "epoch" is not text/,
    );
    await expect(safetensorsBytes([f32({ data: () => new Float32Array(1) })])).rejects.toThrow(
      /was given a Float32Array of 1/,
    );
  });
});
