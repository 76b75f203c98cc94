/**
 * Rows of a group-quantised matrix as f32: w = scale · (code − zero) + offset, one scale and offset per group of columns.
 *
 * codes u32 [rows, words], `bits` = 4 or 8 bits each, lowest first, every row from a word of its own; scales and offsets f32
 * [rows, groups]. 32 columns at a time: groups are multiples of 32, so they share a scale. The last columns of a row, fewer
 * than 32, are decoded one by one, so that nothing behind the row is read.
 */
import { f32, f32x4, i16x8, i32, i32x4, i8x16, v128 } from '../emit/index.js';
import type { Expression, FunctionBuilder, Local } from '../emit/index.js';
import { ELEMENT_GRAIN } from './elementwise.js';
import { F32_BYTES } from './host.js';
import type { KernelContext, KernelHost } from './host.js';
import { forEachRow } from './rows.js';

export type CodeBits = 4 | 8;

/** Offsets in bytes, sizes in elements. */
export interface DequantizeArguments {
  /** f32 [rows, columns], written. */
  readonly out: number;
  readonly codes: number;
  readonly scales: number;
  /** Like the scales; left out: none. */
  readonly offsets?: number;
  readonly rows: number;
  readonly columns: number;
  readonly bits: CodeBits;
  readonly groupSize: number;
  /** Subtracted from every code. */
  readonly zero: number;
}

export interface DequantizeKernels {
  dequantize(operands: DequantizeArguments): void;
}

/** Columns that are decoded at once. */
const RUN = 32;

const PARAMETERS = {
  out: 'i32',
  codes: 'i32',
  scales: 'i32',
  /** As scales, and `hasOffsets` not 0, or anything. */
  offsets: 'i32',
  hasOffsets: 'i32',
  rows: 'i32',
  columns: 'i32',
  groupSize: 'i32',
  zero: 'f32',
} as const;

const exportName = (bits: CodeBits): string => `dequantize${bits}`;

/** Emits one kernel per width of codes. */
export function emitDequantize({ module }: KernelContext): void {
  for (const bits of [4, 8] as const) {
    module.function({ name: exportName(bits), parameters: PARAMETERS, result: 'void', exported: true }, (f, p) => {
      const zero = f.let('zero', f32x4.splat(p.zero));
      const scale = f.local('v128', 'scale');
      const offset = f.local('v128', 'offset');
      const decode = (codes: Expression<'v128'>): Expression<'v128'> =>
        f32x4.add(f32x4.mul(f32x4.sub(f32x4.convertI32x4Signed(codes), zero), scale), offset);
      const [remaining, inGroup] = [f.local('i32', 'remaining'), f.local('i32', 'inGroup')];
      /** Starts the next group where the one before is full. */
      const enterGroup = (columns: number): void => {
        f.if(i32.eqz(inGroup), () => {
          f.set(scale, v128.load32Splat(p.scales));
          f.set(p.scales, i32.add(p.scales, 4));
          f.if(p.hasOffsets, () => {
            f.set(offset, v128.load32Splat(p.offsets));
            f.set(p.offsets, i32.add(p.offsets, 4));
          });
          f.set(inGroup, p.groupSize);
        });
        f.set(inGroup, i32.sub(inGroup, columns));
      };
      forEachRow(f, p.rows, [], () => {
        f.set(remaining, p.columns);
        f.set(inGroup, 0);
        f.countDown(remaining, RUN, () => {
          enterGroup(RUN);
          writeRun(f, p.out, p.codes, bits, decode);
          f.set(p.out, i32.add(p.out, RUN * 4));
          f.set(p.codes, i32.add(p.codes, (RUN * bits) / 8));
        });
        writeTail(f, p, { bits, remaining, enter: () => enterGroup(1), decode });
      });
    });
  }
}

/** 32 columns: bytes of codes, widened to 32 bits in order. */
function writeRun(
  f: FunctionBuilder,
  out: Local<'i32'>,
  codes: Local<'i32'>,
  bits: CodeBits,
  decode: (codes: Expression<'v128'>) => Expression<'v128'>,
): void {
  const bytes: Local<'v128'>[] = [];
  if (bits === 8) bytes.push(f.let('low', v128.load(codes)), f.let('high', v128.load(codes, 16)));
  else {
    const nibble = f.let('nibble', i32x4.constant(0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f));
    const pairs = f.let('pairs', v128.load(codes));
    const even = f.let('even', v128.and(pairs, nibble));
    const odd = f.let('odd', v128.and(i32x4.shrUnsigned(pairs, 4), nibble));
    for (const first of [0, 8]) {
      const order = Array.from({ length: 16 }, (_, i) => first + (i >> 1) + (i % 2) * 16);
      bytes.push(f.let('codes', i8x16.shuffle(even, odd, order)));
    }
  }
  bytes.forEach((sixteen, i) => {
    const halves = [i16x8.extendLowI8x16Unsigned(sixteen), i16x8.extendHighI8x16Unsigned(sixteen)];
    halves.forEach((half, j) => {
      const eight = f.let('eight', half);
      const at = i * 64 + j * 32;
      f.do(
        v128.store(out, decode(i32x4.extendLowI16x8Unsigned(eight)), at),
        v128.store(out, decode(i32x4.extendHighI16x8Unsigned(eight)), at + 16),
      );
    });
  });
}

interface Tail {
  readonly bits: CodeBits;
  readonly remaining: Local<'i32'>;
  readonly enter: () => void;
  readonly decode: (codes: Expression<'v128'>) => Expression<'v128'>;
}

/** The last columns of a row, word by word; afterwards the codes point at the next row. */
function writeTail(
  f: FunctionBuilder,
  p: { readonly out: Local<'i32'>; readonly codes: Local<'i32'> },
  { bits, remaining, enter, decode }: Tail,
): void {
  const [word, left] = [f.local('i32', 'word'), f.local('i32', 'left')];
  f.set(left, 0);
  f.countDown(remaining, 1, () => {
    f.if(i32.eqz(left), () => {
      f.set(word, i32.load(p.codes));
      f.set(p.codes, i32.add(p.codes, 4));
      f.set(left, 32 / bits);
    });
    // The row may end within a group that runs of 32 have begun, and may begin one.
    enter();
    const value = decode(i32x4.splat(i32.and(word, 2 ** bits - 1)));
    f.do(f32.store(p.out, f32x4.extractLane(value, 0)));
    f.set(word, i32.shrUnsigned(word, bits));
    f.set(left, i32.sub(left, 1));
    f.set(p.out, i32.add(p.out, 4));
  });
}

/** Binds the kernels. */
export function bindDequantize(host: KernelHost): DequantizeKernels {
  const kernels = { 4: host.kernel(exportName(4)), 8: host.kernel(exportName(8)) };
  return {
    dequantize({ out, codes, scales, offsets, rows, columns, bits, groupSize, zero }) {
      if (groupSize % RUN !== 0)
        throw new RangeError(`dequantize: groups of ${groupSize} columns; they are multiples of ${RUN}`);
      const groups = Math.ceil(columns / groupSize);
      host.checkRange('dequantize out', out, rows * columns);
      host.checkRange('dequantize codes', codes, rows * Math.ceil((columns * bits) / 32));
      host.checkRange('dequantize scales', scales, rows * groups);
      if (offsets !== undefined) host.checkRange('dequantize offsets', offsets, rows * groups);
      const [words, hasOffsets] = [Math.ceil((columns * bits) / 32), offsets === undefined ? 0 : 1];
      const grain = Math.max(1, Math.ceil(ELEMENT_GRAIN / Math.max(1, columns)));
      host.divide(kernels[bits], { count: rows, grain }, (from, size) => {
        const [word, group] = [F32_BYTES * from * words, F32_BYTES * from * groups];
        const places = [out + F32_BYTES * from * columns, codes + word, scales + group, (offsets ?? 0) + group];
        return [...places, hasOffsets, size, columns, groupSize, zero];
      });
    },
  };
}
