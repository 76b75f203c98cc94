/** Attention in double precision by its formulas, masks for the kernels, and the operands of a case in an arena. */
import fc from 'fast-check';
import {
  type AttentionMask,
  type AttentionSizes,
  type MaskInstruction,
  type StoredMatrix,
  TILE_KEYS,
  TILE_QUERIES,
} from '../../src/kernels/index.js';
import { halfCodes, halfNumbers } from './half-codes.js';
import { type Arena, values, valueSeed } from './support.js';

export type Allow = (entry: number, query: number, key: number) => boolean;

export interface Case extends Required<Omit<AttentionSizes, 'mask'>> {
  readonly scale: number;
  readonly padding: number;
  readonly mask: 'none' | 'pairs' | 'program';
  /** Whether all entries share the mask. */
  readonly isShared: boolean;
  readonly magnitude: number;
  readonly seed: number;
}

const sometimes = (ordinary: fc.Arbitrary<number>, ...edges: readonly number[]): fc.Arbitrary<number> =>
  fc.oneof({ weight: 3, arbitrary: ordinary }, { weight: 1, arbitrary: fc.constantFrom(...edges) });

/** Sizes around those of panels, groups of queries, tiles and blocks of keys. */
export const cases: fc.Arbitrary<Case> = fc
  .record({
    batch: fc.integer({ min: 1, max: 2 }),
    keyHeads: fc.integer({ min: 1, max: 2 }),
    group: fc.integer({ min: 1, max: 3 }),
    queries: sometimes(fc.integer({ min: 0, max: 21 }), 63, 65, TILE_QUERIES, TILE_QUERIES + 3),
    keys: sometimes(fc.integer({ min: 0, max: 40 }), 63, 65, TILE_KEYS + 1, 2 * TILE_KEYS, 2 * TILE_KEYS + 5),
    width: sometimes(fc.integer({ min: 0, max: 36 }), 48, 80),
    storage: fc.constantFrom<StoredMatrix>('f32', 'f32', 'f16', 'bf16'),
    scale: fc.constantFrom(0.3, 1),
    padding: fc.constantFrom(0, 0, 5),
    mask: fc.constantFrom<Case['mask']>('none', 'pairs', 'program'),
    isShared: fc.boolean(),
    magnitude: fc.constantFrom(1, 1, 12),
    seed: valueSeed,
  })
  .map((options) => (options.storage === 'f32' ? options : { ...options, padding: 0 }));

/** The tile map of a mask, and every program that is given. */
export function maskOf(
  { batch, queries, keys, isShared }: Pick<Case, 'batch' | 'queries' | 'keys' | 'isShared'>,
  allow: Allow,
  programOf: (entry: number) => readonly MaskInstruction[],
): AttentionMask {
  const entries = isShared ? 1 : batch;
  const [rows, columns] = [Math.ceil(queries / TILE_QUERIES), Math.ceil(keys / TILE_KEYS)];
  const tiles = Uint8Array.from({ length: entries * rows * columns }, (_, at) => {
    const [entry, row, column] = [Math.floor(at / (rows * columns)), Math.floor(at / columns) % rows, at % columns];
    let [some, all] = [false, true];
    for (let query = row * TILE_QUERIES; query < Math.min(queries, (row + 1) * TILE_QUERIES); query++)
      for (let key = column * TILE_KEYS; key < Math.min(keys, (column + 1) * TILE_KEYS); key++) {
        const allowed = allow(entry, query, key);
        some ||= allowed;
        all &&= allowed;
      }
    return some ? (all ? 1 : 2) : 0;
  });
  const programs = Array.from({ length: entries }, (_, entry) => programOf(entry));
  let [depth, most] = [0, 0];
  for (const { kind } of programs[0] ?? []) {
    depth += kind === 'and' || kind === 'or' ? -1 : kind === 'not' ? 0 : 1;
    most = Math.max(most, depth);
  }
  return { entries, instructions: programs[0]!.length, words: 0, depth: most, programs, tiles };
}

/** A random mask of the case and its operands in the arena; every third query sees nothing. */
export function placeMask(arena: Arena, options: Case): { readonly allow: Allow; readonly mask?: AttentionMask } {
  const { queries, keys, seed, isShared } = options;
  if (options.mask === 'none') return { allow: () => true };
  if (options.mask === 'pairs') {
    const chance = values(seed + 9, queries * keys * options.batch);
    const at = (entry: number, query: number): number => ((isShared ? 0 : entry) * queries + query) * keys;
    const allow: Allow = (entry, query, key) => query % 3 !== 2 && chance[at(entry, query) + key]! > 0;
    const bytes = Uint8Array.from(chance, (_, i) =>
      Number(allow(Math.floor(i / (queries * keys)), Math.floor(i / keys) % queries, i % keys)),
    );
    const pointer = arena.u8(bytes);
    const program = (entry: number): MaskInstruction[] => [
      { kind: 'pairs', query: { base: pointer + at(entry, 0), step: keys }, key: { base: 0, step: 1 } },
    ];
    return { allow, mask: maskOf(options, allow, program) };
  }
  // Causal with cached keys, and within packed samples or a prefix: (causal and segments) or prefix.
  const ids = (count: number, which: number): Int32Array =>
    Int32Array.from(values(seed + which, count), (x, i) => Math.floor((i + 10 * x) / 50));
  const [queryIds, keyIds] = [ids(queries, 11), ids(keys, 12)];
  const offset = keys - queries;
  const prefixOf = (entry: number): number => (isShared ? 2 : 2 * entry - 1);
  const allow: Allow = (entry, query, key) =>
    (query + offset >= key && queryIds[query] === keyIds[key]) || prefixOf(entry) > key;
  const i32At = (data: Int32Array): number => arena.u8(new Uint8Array(data.buffer));
  const [queryAt, keyAt] = [i32At(queryIds), i32At(keyIds)];
  const program = (entry: number): MaskInstruction[] => [
    { kind: 'greaterEqual', query: { base: offset, step: 1 }, key: { base: 0, step: 1 } },
    {
      kind: 'equal',
      query: { pointer: queryAt, base: 0, step: 0 },
      key: { pointer: keyAt, base: 0, step: 0 },
    },
    { kind: 'and' },
    { kind: 'greater', query: { base: prefixOf(entry), step: 0 }, key: { base: 0, step: 1 } },
    { kind: 'or' },
  ];
  return { allow, mask: maskOf(options, allow, program) };
}

export interface Results {
  readonly y: number[];
  readonly lse: number[];
  readonly dq: number[];
  readonly dk: number[];
  readonly dv: number[];
}

/** Simple loops in double precision over dense operands. */
export function formulas(
  { batch, keyHeads, group, queries, keys, width, scale }: Case,
  { q, k, v, dy }: Readonly<Record<'q' | 'k' | 'v' | 'dy', ArrayLike<number>>>,
  allow: Allow,
): Results {
  const rows = batch * keyHeads * group * queries;
  const zeros = (count: number): number[] => Array.from({ length: count }, () => 0);
  const [y, dq, lse] = [zeros(rows * width), zeros(rows * width), zeros(rows)];
  const [dk, dv] = [zeros(batch * keyHeads * keys * width), zeros(batch * keyHeads * keys * width)];
  for (let row = 0; row < rows; row++) {
    const keyHead = Math.floor(row / queries / group);
    const entry = Math.floor(keyHead / keyHeads);
    const at = (key: number): number => (keyHead * keys + key) * width;
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>, to: number): number => {
      let total = 0;
      for (let d = 0; d < width; d++) total += a[row * width + d]! * b[to + d]!;
      return total;
    };
    const scores = Array.from({ length: keys }, (_, key) =>
      allow(entry, row % queries, key) ? scale * dot(q, k, at(key)) : -Infinity,
    );
    const largest = Math.max(...scores);
    if (largest === -Infinity) {
      lse[row] = Infinity;
      continue;
    }
    lse[row] = largest + Math.log(scores.reduce((total, score) => total + Math.exp(score - largest), 0));
    const weights = scores.map((score) => Math.exp(score - lse[row]!));
    weights.forEach((weight, key) => {
      for (let d = 0; d < width; d++) y[row * width + d]! += weight * v[at(key) + d]!;
    });
    const delta = dot(dy, y, row * width);
    weights.forEach((weight, key) => {
      const flow = weight * (dot(dy, v, at(key)) - delta) * scale;
      for (let d = 0; d < width; d++) {
        dv[at(key) + d]! += weight * dy[row * width + d]!;
        dq[row * width + d]! += flow * k[at(key) + d]!;
        dk[at(key) + d]! += flow * q[row * width + d]!;
      }
    });
  }
  return { y, lse, dq, dk, dv };
}

export interface Run {
  readonly actual: Readonly<Record<keyof Results, ArrayLike<number>>>;
  readonly inputs: Readonly<Record<'q' | 'k' | 'v' | 'dy', ArrayLike<number>>>;
  readonly allow: Allow;
}

/** Runs both directions of a case in an arena that is reset for it, between guards. */
export function runCase(arena: Arena, options: Case): Run {
  const { batch, keyHeads, group, queries, keys, width, storage, padding, magnitude, seed } = options;
  const { kernels } = arena;
  arena.reset();
  const stride = width + padding;
  const [queryRows, keyRows] = [batch * keyHeads * group * queries, batch * keyHeads * keys];
  const dense = (rows: number, which: number, size = 1): Float32Array => values(seed + which, rows * width, size);
  const spread = (data: ArrayLike<number>, rows: number): Float32Array => {
    const wide = new Float32Array(rows * stride).fill(Number.NaN);
    for (let i = 0; i < rows * width; i++) wide[Math.floor(i / width) * stride + (i % width)] = data[i]!;
    return wide;
  };
  const gathered = (at: number, rows: number): number[] => {
    const wide = arena.read(at, rows * stride);
    return Array.from({ length: rows * width }, (_, i) => wide[Math.floor(i / width) * stride + (i % width)]!);
  };
  const [q, dy] = [dense(queryRows, 0, magnitude), dense(queryRows, 3)];
  let [k, v] = [dense(keyRows, 1, magnitude), dense(keyRows, 2)];
  const codesAt = (codes: Uint16Array): number => {
    const at = arena.bytes(codes.byteLength);
    new Uint16Array(kernels.memory.buffer, at, codes.length).set(codes);
    return at;
  };
  const store = (data: Float32Array): readonly [number, Float32Array] => {
    if (storage === 'f32') return [arena.f32(spread(data, keyRows)), data];
    const { codes, numbers } = halfCodes(storage, data);
    return [codesAt(codes), numbers];
  };
  const [kAt, kNumbers] = store(k);
  const [vAt, vNumbers] = store(v);
  [k, v] = [kNumbers, vNumbers];
  const likeKeys = (): number =>
    storage === 'f32' ? arena.output(keyRows * stride) : codesAt(new Uint16Array(keyRows * width).fill(0x7fff));
  const { allow, mask } = placeMask(arena, options);
  const places = {
    q: arena.f32(spread(q, queryRows)),
    dy: arena.f32(spread(dy, queryRows)),
    y: arena.output(queryRows * stride),
    dq: arena.output(queryRows * stride),
    lse: arena.output(queryRows),
    dk: likeKeys(),
    dv: likeKeys(),
  };
  const strides = { rowStrideQ: stride, rowStrideK: stride, rowStrideY: stride };
  const sizes = { batch, keyHeads, group, queries, keys, width, storage };
  const given = { ...sizes, ...strides, scale: options.scale, mask, k: kAt, v: vAt, ...places };
  for (const direction of ['forward', 'backward'] as const) {
    const scratch = arena.bytes(kernels.attentionScratchBytes({ ...sizes, mask }, direction));
    if (direction === 'forward') kernels.attention({ ...given, scratch });
    else kernels.attentionBackward({ ...given, scratch });
  }
  arena.checkGuards();
  const keysFrom = (at: number): number[] =>
    storage === 'f32'
      ? gathered(at, keyRows)
      : Array.from(halfNumbers(storage, new Uint16Array(kernels.memory.buffer, at, keyRows * width).slice()));
  const actual = {
    y: gathered(places.y, queryRows),
    lse: [...arena.read(places.lse, queryRows)],
    dq: gathered(places.dq, queryRows),
    dk: keysFrom(places.dk),
    dv: keysFrom(places.dv),
  };
  return { actual, inputs: { q, k, v, dy }, allow };
}
