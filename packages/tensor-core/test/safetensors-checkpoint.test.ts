import { describe, expect, it } from 'vitest';
import {
  bytesSource,
  type ByteSource,
  openCheckpoint,
  safetensorsBytes,
  SafetensorsError,
  type SafetensorsEntry,
} from '../src/safetensors/index.js';

const scalar = (name: string, value: number): SafetensorsEntry => ({
  name,
  dtype: 'F32',
  shape: [],
  data: Float32Array.of(value),
});
const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A folder in memory that counts open files. */
class Folder {
  readonly files: Record<string, Uint8Array>;
  opened = 0;
  closed = 0;

  constructor(files: Record<string, Uint8Array>) {
    this.files = files;
  }

  readonly open = async (name: string): Promise<ByteSource | undefined> => {
    const bytes = Object.hasOwn(this.files, name) ? this.files[name] : undefined;
    if (!bytes) return undefined;
    this.opened++;
    return { ...bytesSource(bytes), close: async () => void this.closed++ };
  };
}

async function sharded(change: (weightMap: Record<string, unknown>) => unknown = (map) => map): Promise<Folder> {
  const weightMap = change({ a: 's1.safetensors', b: 's2.safetensors', c: 's1.safetensors' });
  return new Folder({
    'model.safetensors.index.json': json({ metadata: { total_size: 12.0 }, weight_map: weightMap }),
    's1.safetensors': await safetensorsBytes([scalar('a', 1), scalar('c', 3)], { format: 'pt' }),
    's2.safetensors': await safetensorsBytes([scalar('b', 2), scalar('c', 9), scalar('extra', 4)], {
      format: 'np',
      by: 's2',
    }),
  });
}

describe('openCheckpoint', () => {
  it('reads one file', async () => {
    const folder = new Folder({ 'model.safetensors': await safetensorsBytes([scalar('a', 1)], { format: 'pt' }) });
    const checkpoint = await openCheckpoint(folder.open, { location: '/models/m' });
    expect(checkpoint.names()).toEqual(['a']);
    expect(checkpoint.files).toEqual(['/models/m/model.safetensors']);
    expect(checkpoint.unindexed).toEqual([]);
    expect(await checkpoint.readFloat32('a')).toEqual(Float32Array.of(1));
    await checkpoint.close();
    expect(folder.closed).toBe(folder.opened);
  });

  it('reads shards as the index says, and reports what the index leaves out', async () => {
    const folder = await sharded();
    const checkpoint = await openCheckpoint(folder.open);
    expect(checkpoint.names().toSorted()).toEqual(['a', 'b', 'c']);
    for (const [name, value] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const) {
      expect(await checkpoint.readFloat32(name)).toEqual(Float32Array.of(value));
      const target = new Float32Array(1);
      await checkpoint.readFloat32Into(name, target);
      expect(target[0]).toBe(value);
    }
    expect(checkpoint.info('b').dtype).toBe('F32');
    expect((await checkpoint.read('c')).data).toEqual(Float32Array.of(3));
    expect(checkpoint.unindexed).toEqual([
      { name: 'c', file: 's2.safetensors' },
      { name: 'extra', file: 's2.safetensors' },
    ]);
    expect(Object.fromEntries(checkpoint.metadata)).toEqual({ format: 'pt', by: 's2' });
    expect(checkpoint.has('extra')).toBe(false);
    await expect(checkpoint.read('extra')).rejects.toThrow(
      /checkpoint: tensor "extra": no such tensor in this checkpoint/,
    );
    await checkpoint.close();
    expect([folder.opened, folder.closed]).toEqual([3, 3]);
  });

  it('takes other file names, for adapters', async () => {
    const folder = new Folder({ 'adapter_model.safetensors': await safetensorsBytes([scalar('lora', 1)]) });
    expect((await openCheckpoint(folder.open, { fileName: 'adapter_model.safetensors' })).names()).toEqual(['lora']);
  });

  it('takes a rejection with ENOENT or NotFoundError for "no such file", and passes others on', async () => {
    const rejecting = (error: Error): Promise<unknown> =>
      openCheckpoint(() => Promise.reject(error), { location: '/m' });
    const missing = /^\/m: found neither model.safetensors nor model.safetensors.index.json; name a folder/;
    await expect(rejecting(Object.assign(new Error('no'), { code: 'ENOENT' }))).rejects.toThrow(missing);
    await expect(rejecting(Object.assign(new Error('no'), { name: 'NotFoundError' }))).rejects.toThrow(missing);
    await expect(rejecting(new Error('no permission'))).rejects.toThrow('no permission');
  });

  it.each<[string, (map: Record<string, unknown>) => unknown, RegExp]>([
    [
      'a tensor that is not in its shard',
      (map) => ({ ...map, d: 's1.safetensors' }),
      /1 tensors that the index places in "s1.safetensors" are not in it, first "d"/,
    ],
    [
      'a missing shard',
      (map) => ({ ...map, d: 's3.safetensors' }),
      /names shard "s3.safetensors", which is not there; download/,
    ],
    [
      'a path upward',
      () => ({ a: '../s1.safetensors' }),
      /tensor "a": its shard is "..\/s1.safetensors", which is not a plain/,
    ],
    ['an absolute path', () => ({ a: '/etc/s1.safetensors' }), /not a plain/],
    ['a Windows path', () => ({ a: 'C:\\s1.safetensors' }), /not a plain/],
    ['a Windows drive', () => ({ a: 'C:s1.safetensors' }), /not a plain/],
    ['a subfolder', () => ({ a: 'sub/s1.safetensors' }), /not a plain/],
    ['a NUL', () => ({ a: 's1\0.safetensors' }), /not a plain/],
    ['another kind of file', () => ({ a: 'passwd' }), /not a plain/],
    ['dots only', () => ({ a: '...safetensors' }), /not a plain/],
    ['a number', () => ({ a: 1 }), /its shard is not a string/],
    ['no shards', () => ({}), /"weight_map" is empty/],
    ['a list', () => [], /no "weight_map" object/],
    [
      'too many shards',
      () => Object.fromEntries(Array.from({ length: 4097 }, (_, i) => [i, `${i}.safetensors`])),
      /more than 4096 shard files/,
    ],
  ])('refuses an index with %s, leaving nothing open', async (_, change, message) => {
    const folder = await sharded(change);
    const opening = openCheckpoint(folder.open, { location: 'm' });
    await expect(opening).rejects.toThrow(message);
    await expect(opening).rejects.toThrow(/^m\/model.safetensors.index.json: /);
    await expect(opening).rejects.toBeInstanceOf(SafetensorsError);
    expect(folder.closed).toBe(folder.opened);
  });

  it.each([
    ['not JSON', new TextEncoder().encode('{'), /its JSON has expected a string/],
    ['not UTF-8', Uint8Array.of(0xff), /not valid UTF-8/],
    [
      'a repeated tensor',
      new TextEncoder().encode('{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}'),
      /"a" appears twice/,
    ],
    ['null', new TextEncoder().encode('null'), /no "weight_map" object/],
  ])('refuses an index that is %s', async (_, bytes, message) => {
    const folder = new Folder({ 'model.safetensors.index.json': bytes });
    await expect(openCheckpoint(folder.open)).rejects.toThrow(message);
    expect(folder.closed).toBe(folder.opened);
  });

  it('closes a shard whose header is wrong, and those before it', async () => {
    const folder = await sharded();
    folder.files['s2.safetensors'] = new Uint8Array(20);
    await expect(openCheckpoint(folder.open)).rejects.toThrow(/^s2.safetensors: /);
    expect([folder.opened, folder.closed]).toEqual([3, 3]);
  });
});
