/**
 * Products of up to sixteen rows with the transpose of a group-quantised matrix, whose codes are read as they lie:
 *
 *   C[i, j] = sum over p of A[i, p] W[j, p],   W[j, p] = scale_g (code_jp − zero) + offset_g,   g the group of column p
 *
 * A becomes whole numbers first (`fixRows`, fixed-point.ts), and the sums over codes are whole too (quantized-row-block.ts),
 * so that all tiers, and any number of threads, have the same bits. Columns are multiples of 32, as groups are.
 *
 * Error. With δ = 2^−22 for 4 bits and 2^−19 for 8, the result is the product with rows Ã instead of A,
 * |Ã − A| ≤ δ · max|A| over each unit of 64 or 32 columns, up to the rounding of f32 sums: per lane, one for a unit's sum, its
 * factor and its place in the total. So
 *
 *   |C̃ − C| ≤ δ Σ_units max|A| Σ|W|  +  (units + 5) 2^−24 Σ|A W|
 *
 * (with offsets, Σ|W| and Σ|A W| of the second term count scale · code and offset each for itself). Where a unit's numbers are
 * of one size that is 1e-6 of Σ|A W| at most, and errors of columns cancel as the terms of a random walk do. An infinite scale
 * makes infinities or NaN of its products, not always the same as term by term.
 */
import { i32 } from '../../emit/index.js';
import type { Expression, FunctionReference, Local } from '../../emit/index.js';
import type { CodeBits } from '../dequantize.js';
import { WIDENING } from '../half.js';
import { F32_BYTES, PARTS_PER_THREAD } from '../host.js';
import type { ExportedKernel, KernelContext, KernelHost } from '../host.js';
import { forEachVector, single } from '../vector-loop.js';
import {
  UNITS,
  type Unit,
  emitFixedPoint,
  fixedPointName,
  fixedRowBytes,
  sumsAt,
  unitFor,
  unitName,
} from './fixed-point.js';
import { BLOCK_ROWS, SLOT_BYTES, emitRowBlocks } from './quantized-row-block.js';
import { type StoredMatrix, mostProductRows, storedBytes } from './row-products.js';

/** Columns and groups are multiples of this. */
export const QUANTIZED_RUN = 32;

/** A quantised matrix [n, columns]. Offsets in bytes, sizes in elements. */
export interface QuantizedMatrix {
  /** u32 [n, columns·bits/32]. */
  readonly codes: number;
  /** [n, groups], of `factorStorage`. */
  readonly scales: number;
  /** Like the scales; left out: none. */
  readonly offsets?: number;
  readonly factorStorage: StoredMatrix;
  readonly n: number;
  readonly columns: number;
  readonly bits: CodeBits;
  readonly groupSize: number;
  readonly zero: number;
}

/** Operands of a product of few rows. */
export interface QuantizedRowProductArguments extends QuantizedMatrix {
  /** What `fixRows` wrote. */
  readonly fixed: number;
  /** f32 [m, rowStrideC], the first n columns written. */
  readonly c: number;
  readonly m: number;
  readonly rowStrideC: number;
  /** `quantizedRowScratchBytes` bytes. */
  readonly scratch: number;
}

export interface FixRowsArguments extends Pick<QuantizedMatrix, 'columns' | 'bits' | 'groupSize' | 'zero'> {
  /** `fixedBytes` bytes, written. */
  readonly into: number;
  /** f32 [m, columns]. */
  readonly a: number;
  readonly m: number;
}

export interface QuantizedRowProductKernels {
  /**
   * Makes whole numbers of rows of A.
   *
   * @returns the rows that hold an infinity or NaN: their products mean nothing.
   */
  fixRows(operands: FixRowsArguments): readonly number[];
  /** C = A·Wᵀ for at most `mostProductRows` rows of A; see the file header for order and exactness. */
  quantizedRowProducts(operands: QuantizedRowProductArguments): void;
  /** Scratch bytes of `quantizedRowProducts`. */
  quantizedRowScratchBytes(matrix: Pick<QuantizedMatrix, 'columns'>): number;
}

/** Bytes of m rows as `fixRows` writes them. */
export const fixedBytes = (
  m: number,
  { bits, columns, groupSize }: Pick<QuantizedMatrix, 'bits' | 'columns' | 'groupSize'>,
): number => m * fixedRowBytes(unitFor(bits, columns, groupSize), columns);

const PARAMETERS = {
  x: 'i32',
  xStride: 'i32',
  sumsAt: 'i32',
  m: 'i32',
  codes: 'i32',
  codesStride: 'i32',
  scales: 'i32',
  offsets: 'i32',
  /** Index into STORAGES, 3 where the factors lie as blocks read them. */
  storage: 'i32',
  factorStride: 'i32',
  /** Units of a group and of a row. */
  groupUnits: 'i32',
  units: 'i32',
  c: 'i32',
  cStride: 'i32',
  n: 'i32',
  columns: 'i32',
  /** Rows of W that all rows of x meet before the next. */
  blockRows: 'i32',
  /** The slot of a block, then room for the factors of a block of rows, `factorBytes` for scales and as much for offsets. */
  scratch: 'i32',
  factorBytes: 'i32',
} as const;

const STORAGES: readonly StoredMatrix[] = ['f32', 'f16', 'bf16'];
const AS_THEY_LIE = STORAGES.length;
/** Scales of a block of rows as f32, at least those of one row. */
const FACTOR_BYTES = 4096;
/** Codes that are worth a thread of their own, in bytes. */
const CODE_GRAIN = 2 ** 17;
const productName = (unit: Unit): string => `quantizedRowProducts_${unitName(unit)}`;

/** Emits the conversion of A, the blocks, and one product per unit. */
export function emitQuantizedRowProducts(context: KernelContext): void {
  emitFixedPoint(context);
  const spread = STORAGES.map((storage) => emitSpread(context, storage));
  for (const unit of UNITS) {
    const blocks = emitRowBlocks(context, unit);
    const signature = { name: productName(unit), parameters: PARAMETERS, result: 'void', exported: true } as const;
    context.module.function(signature, (f, p) => {
      const codesEnd = f.let('codesEnd', i32.add(p.codes, i32.mul(p.n, p.codesStride)));
      const factorsAt = f.let('factorsAt', i32.add(p.scratch, SLOT_BYTES));
      const [rows, row] = [f.local('i32', 'rows'), f.local('i32', 'row')];
      const [x, c, count] = [f.local('i32', 'x'), f.local('i32', 'c'), f.local('i32', 'count')];
      const [scales, offsets] = [f.local('i32', 'scales'), f.local('i32', 'offsets')];
      f.for({ index: row, from: 0, below: p.n, step: p.blockRows }, () => {
        f.set(rows, i32.sub(p.n, row));
        f.if(i32.ltUnsigned(p.blockRows, rows), () => f.set(rows, p.blockRows));
        f.set(scales, p.scales);
        f.set(offsets, p.offsets);
        spread.forEach((write, storage) =>
          f.if(i32.eq(p.storage, storage), () => {
            f.callVoid(write, factorsAt, p.scales, rows, p.units, p.groupUnits);
            f.set(scales, factorsAt);
            f.if(p.offsets, () => {
              f.set(offsets, i32.add(factorsAt, p.factorBytes));
              f.callVoid(write, offsets, p.offsets, rows, p.units, p.groupUnits);
            });
          }),
        );
        f.set(x, p.x);
        f.set(c, i32.add(p.c, i32.mul(row, F32_BYTES)));
        f.set(count, p.m);
        blocks.forEach((block, i) =>
          f.countDown(count, BLOCK_ROWS[i]!, () => {
            const places = [x, p.xStride, p.sumsAt, p.codes, codesEnd, scales, offsets, c, p.cStride];
            f.callVoid(block, ...places, rows, p.columns, p.scratch);
            f.set(x, i32.add(x, i32.mul(p.xStride, BLOCK_ROWS[i]!)));
            f.set(c, i32.add(c, i32.mul(p.cStride, BLOCK_ROWS[i]!)));
          }),
        );
        f.set(p.codes, i32.add(p.codes, i32.mul(rows, p.codesStride)));
        const factors = f.let('factors', i32.mul(rows, p.factorStride));
        f.set(p.scales, i32.add(p.scales, factors));
        f.if(p.offsets, () => f.set(p.offsets, i32.add(p.offsets, factors)));
      });
    });
  }
}

const SPREAD = { into: 'i32', from: 'i32', rows: 'i32', units: 'i32', groupUnits: 'i32' } as const;

/** Emits (into, from, rows, units, groupUnits): factors of groups as f32 factors of units. */
function emitSpread({ module }: KernelContext, storage: StoredMatrix): FunctionReference<'void'> {
  const name = `spreadFactors_${storage}`;
  return module.function({ name, parameters: SPREAD, result: 'void', exported: false }, (f, p) => {
    const isWide = storage === 'f32';
    const widen = isWide ? (value: Local<'v128'>): Expression<'v128'> => value : WIDENING[storage](f);
    const count = f.let('count', i32.mul(p.rows, p.units));
    f.if(i32.eq(p.groupUnits, 1), () => {
      const cursors = isWide ? { cursors: [p.into, p.from] } : { cursors: [p.into], halfCursors: [p.from] };
      forEachVector(f, { ...cursors, count, unroll: 2 }, (lanes) => {
        const stored = f.let('stored', isWide ? lanes.load(p.from) : lanes.loadHalf(p.from));
        f.do(lanes.store(p.into, widen(stored)));
      });
      f.return();
    });
    const [left, inGroup] = [f.local('i32', 'left'), f.local('i32', 'inGroup')];
    f.countDown(p.rows, 1, () => {
      f.set(left, p.units);
      f.set(inGroup, 0);
      const factor = f.local('v128', 'factor');
      f.countDown(left, 1, () => {
        f.if(i32.eqz(inGroup), () => {
          const stored = f.let('stored', isWide ? single.load(p.from) : single.loadHalf(p.from));
          f.set(factor, widen(stored));
          f.set(p.from, i32.add(p.from, storedBytes(storage)));
          f.set(inGroup, p.groupUnits);
        });
        f.do(single.store(p.into, factor));
        f.set(p.into, i32.add(p.into, F32_BYTES));
        f.set(inGroup, i32.sub(inGroup, 1));
      });
    });
  });
}

/** Binds the products to a memory. */
export function bindQuantizedRowProducts(host: KernelHost): QuantizedRowProductKernels {
  const named = (nameOf: (unit: Unit) => string): ReadonlyMap<Unit, ExportedKernel> =>
    new Map(UNITS.map((unit) => [unit, host.kernel(nameOf(unit))]));
  const [fix, products] = [named(fixedPointName), named(productName)];
  const mostParts = PARTS_PER_THREAD * host.threads;
  const factorBytesOf = (units: number): number => Math.max(FACTOR_BYTES, Math.ceil(units / 4) * 16);
  const partBytes = (units: number): number => SLOT_BYTES + 2 * factorBytesOf(units);
  return {
    quantizedRowScratchBytes: ({ columns }) => mostParts * partBytes(columns / QUANTIZED_RUN),
    fixRows({ into, a, m, columns, bits, groupSize, zero }) {
      checkColumns(columns, groupSize);
      const unit = unitFor(bits, columns, groupSize);
      host.checkRange('fixRows a', a, m * columns);
      host.checkRange('fixRows into', into, fixedBytes(m, { bits, columns, groupSize }), 1);
      const codeShift = (bits === 8 ? 128 : 0) - zero;
      const failed: number[] = [];
      for (let i = 0; i < m; i += 1) {
        const row = into + i * fixedRowBytes(unit, columns);
        const from = a + F32_BYTES * i * columns;
        if (fix.get(unit)!(from, row, row + sumsAt(unit, columns), columns, codeShift) !== 0) failed.push(i);
      }
      return failed;
    },
    quantizedRowProducts(operands) {
      const { fixed, codes, scales, offsets, factorStorage, c, m, n, columns, bits, groupSize, scratch } = operands;
      if (!(m >= 1 && m <= mostProductRows))
        throw new RangeError(`quantizedRowProducts takes 1 to ${mostProductRows} rows, got ${m}: decode the matrix`);
      checkColumns(columns, groupSize);
      const unit = unitFor(bits, columns, groupSize);
      const [units, groups] = [columns / unit.columns, Math.ceil(columns / groupSize)];
      const rowBytes = (columns * bits) / 8;
      const factorBytes = storedBytes(factorStorage);
      host.checkRange('quantizedRowProducts fixed', fixed, fixedBytes(m, operands), 1);
      host.checkRange('quantizedRowProducts codes', codes, n * rowBytes, 1);
      host.checkRange('quantizedRowProducts scales', scales, n * groups, factorBytes);
      if (offsets !== undefined) host.checkRange('quantizedRowProducts offsets', offsets, n * groups, factorBytes);
      host.checkRange('quantizedRowProducts c', c, (m - 1) * operands.rowStrideC + n);
      host.checkRange('quantizedRowProducts scratch', scratch, mostParts * partBytes(columns / QUANTIZED_RUN), 1);
      const groupUnits = groupSize / unit.columns;
      const storage = factorStorage === 'f32' && groupUnits === 1 ? AS_THEY_LIE : STORAGES.indexOf(factorStorage);
      const blockRows = Math.max(1, Math.floor(FACTOR_BYTES / F32_BYTES / Math.max(1, units)));
      const x = [fixed, fixedRowBytes(unit, columns), sumsAt(unit, columns), m];
      const grain = Math.max(1, Math.ceil(CODE_GRAIN / Math.max(1, rowBytes)));
      let part = 0;
      host.divide(products.get(unit)!, { count: n, grain }, (from, size) => {
        const factorsFrom = factorBytes * from * groups;
        const factors = [scales + factorsFrom, offsets === undefined ? 0 : offsets + factorsFrom, storage];
        const sizes = [factorBytes * groups, groupUnits, units];
        const output = [c + F32_BYTES * from, F32_BYTES * operands.rowStrideC, size, columns, blockRows];
        const room = [scratch + partBytes(units) * part, factorBytesOf(units)];
        part += 1;
        return [...x, codes + from * rowBytes, rowBytes, ...factors, ...sizes, ...output, ...room];
      });
      if (part > mostParts) throw new Error(`quantizedRowProducts: ${part} parts in scratch for ${mostParts}`);
    },
  };
}

function checkColumns(columns: number, groupSize: number): void {
  if (columns % QUANTIZED_RUN !== 0 || groupSize % QUANTIZED_RUN !== 0)
    throw new RangeError(
      `a product with codes as they lie takes columns and groups that are multiples of ${QUANTIZED_RUN}, got ${columns} in groups of ${groupSize}: decode the matrix`,
    );
}
