/**
 * Products of a few rows with the transpose of a group-quantised matrix, decoded while it is read:
 *
 *   C[i, j] = sum over p of A[i, p] W[j, p],   W[j, p] = scale_g (code_jp − zero) + offset_g,   g the group of column p
 *
 * A word holds 32/bits codes. Shifting four words by the same amount gives four codes that lie apart in their row, so A is
 * first put into that order ("arranged"), and the sums X_g of its elements over each group are kept, four partial sums to a
 * vector as the codes meet them. Then per group, lane by lane:
 *
 *   sum += scale_g (Σ a code − zero X_g) + offset_g X_g
 *
 * so that a code costs a shift, a mask, a conversion and a multiply-add. Columns are multiples of 32, as groups are.
 */
import { f32x4, i32, i32x4, v128 } from '../../emit/index.js';
import type { FunctionBuilder, Local } from '../../emit/index.js';
import type { CodeBits } from '../dequantize.js';
import { F32_BYTES } from '../host.js';
import type { ExportedKernel, KernelContext, KernelHost } from '../host.js';
import { Accumulators, single } from '../vector-loop.js';
import { mostProductRows } from './row-products.js';

/** Columns that are decoded between two looks at where a group ends. */
export const QUANTIZED_RUN = 32;

/** Operands of a product of few rows. Offsets in bytes, sizes in elements. */
export interface QuantizedRowProductArguments {
  /** What `arrangeRows` wrote. */
  readonly arranged: number;
  /** u32 [n, columns·bits/32]. */
  readonly codes: number;
  /** f32 [n, groups]. */
  readonly scales: number;
  /** Like the scales; left out: none. */
  readonly offsets?: number;
  /** f32 [m, rowStrideC], the first n columns written. */
  readonly c: number;
  readonly m: number;
  readonly n: number;
  readonly columns: number;
  readonly bits: CodeBits;
  readonly groupSize: number;
  readonly zero: number;
  readonly rowStrideC: number;
}

export interface ArrangeArguments {
  /** `arrangedBytes` bytes, written. */
  readonly into: number;
  /** f32 [m, columns]. */
  readonly a: number;
  readonly m: number;
  readonly columns: number;
  readonly bits: CodeBits;
  readonly groupSize: number;
}

export interface QuantizedRowProductKernels {
  /** Puts rows of A into the order that their product with codes of `bits` bits reads them in. */
  arrangeRows(operands: ArrangeArguments): void;
  /** C = A·Wᵀ for at most `mostProductRows` rows of A. */
  quantizedRowProducts(operands: QuantizedRowProductArguments): void;
}

/** Bytes of arranged rows: each its elements, then four partial sums per group. */
export const arrangedBytes = (m: number, columns: number, groupSize: number): number =>
  m * arrangedRow(columns, groupSize);

const arrangedRow = (columns: number, groupSize: number): number =>
  F32_BYTES * (columns + 4 * Math.ceil(columns / groupSize));

const PARAMETERS = {
  arranged: 'i32',
  /** Bytes between arranged rows, and from the start of one to its sums. */
  arrangedStride: 'i32',
  sumsAt: 'i32',
  codes: 'i32',
  scales: 'i32',
  offsets: 'i32',
  hasOffsets: 'i32',
  c: 'i32',
  cStride: 'i32',
  n: 'i32',
  columns: 'i32',
  groupSize: 'i32',
  zero: 'f32',
} as const;

const BITS: readonly CodeBits[] = [4, 8];
const exportName = (bits: CodeBits, m: number): string => `quantizedRowProducts${bits}_${m}`;

/** Emits one function for each width of codes and each number of rows of A. */
export function emitQuantizedRowProducts(context: KernelContext): void {
  for (const bits of BITS) for (let m = 1; m <= mostProductRows; m += 1) emitProduct(context, bits, m);
}

function emitProduct({ module, arithmetic }: KernelContext, bits: CodeBits, m: number): void {
  const signature = { name: exportName(bits, m), parameters: PARAMETERS, result: 'void', exported: true } as const;
  module.function(signature, (f, p) => {
    const minusZero = f.let('minusZero', f32x4.neg(f32x4.splat(p.zero)));
    const decode = decoder(f, bits);
    const rows = Array.from({ length: m }, () => ({
      elements: f.local('i32', 'elements'),
      sums: f.local('i32', 'sums'),
      groupSum: f.local('v128', 'groupSum'),
      inGroup: f.local('v128', 'inGroup'),
      total: new Accumulators(f, 'total', 1),
    }));
    const [remaining, inThisGroup] = [f.local('i32', 'remaining'), f.local('i32', 'inThisGroup')];
    const [scale, offset] = [f.local('v128', 'scale'), f.local('v128', 'offset')];
    const output = f.local('i32', 'output');
    f.countDown(p.n, 1, () => {
      rows.forEach(({ elements, sums, total }, i) => {
        f.set(elements, i === 0 ? p.arranged : i32.add(rows[i - 1]!.elements, p.arrangedStride));
        f.set(sums, i32.add(elements, p.sumsAt));
        total.fill(f32x4.constant(0));
      });
      f.set(remaining, p.columns);
      f.block((rowEnd) => {
        f.loop((nextGroup) => {
          f.branchIf(rowEnd, i32.eqz(remaining));
          for (const { sums, groupSum, inGroup } of rows) {
            f.set(groupSum, v128.load(sums));
            f.set(sums, i32.add(sums, 16));
            f.set(inGroup, f32x4.mul(groupSum, minusZero));
          }
          f.set(inThisGroup, p.groupSize);
          f.if(i32.ltUnsigned(remaining, p.groupSize), () => f.set(inThisGroup, remaining));
          f.set(remaining, i32.sub(remaining, inThisGroup));
          f.countDown(inThisGroup, QUANTIZED_RUN, () => {
            decode(p.codes, (codes, at) => {
              for (const { elements, inGroup } of rows)
                f.set(inGroup, arithmetic.multiplyAdd(v128.load(elements, at), codes, inGroup));
            });
            for (const { elements } of rows) f.set(elements, i32.add(elements, QUANTIZED_RUN * F32_BYTES));
            f.set(p.codes, i32.add(p.codes, (QUANTIZED_RUN * bits) / 8));
          });
          f.set(scale, v128.load32Splat(p.scales));
          f.set(p.scales, i32.add(p.scales, F32_BYTES));
          for (const { inGroup, total } of rows)
            f.set(total.of(0), arithmetic.multiplyAdd(inGroup, scale, total.of(0)));
          f.if(p.hasOffsets, () => {
            f.set(offset, v128.load32Splat(p.offsets));
            f.set(p.offsets, i32.add(p.offsets, F32_BYTES));
            for (const { groupSum, total } of rows)
              f.set(total.of(0), arithmetic.multiplyAdd(groupSum, offset, total.of(0)));
          });
          f.branch(nextGroup);
        });
      });
      f.set(output, p.c);
      for (const { total } of rows) {
        f.do(single.store(output, total.sum()));
        f.set(output, i32.add(output, p.cStride));
      }
      f.set(p.c, i32.add(p.c, F32_BYTES));
    });
  });
}

/** Four codes as f32, and the byte offset of the arranged elements that they meet. */
type UseCodes = (codes: Local<'v128'>, at: number) => void;

/** Decodes runs of 32 codes; constants are set here. */
function decoder(f: FunctionBuilder, bits: CodeBits): (codes: Local<'i32'>, use: UseCodes) => void {
  const mask = f.let('mask', i32x4.splat(2 ** bits - 1));
  const perWord = 32 / bits;
  return (codes, use) => {
    for (let vector = 0; vector < QUANTIZED_RUN / (4 * perWord); vector += 1) {
      const words = f.let('words', v128.load(codes, 16 * vector));
      for (let i = 0; i < perWord; i += 1) {
        const shifted = i === 0 ? words : i32x4.shrUnsigned(words, i * bits);
        const four = f.let('four', f32x4.convertI32x4Signed(v128.and(shifted, mask)));
        use(four, 16 * (vector * perWord + i));
      }
    }
  };
}

/** Binds the products to a memory. */
export function bindQuantizedRowProducts(host: KernelHost): QuantizedRowProductKernels {
  const kernels = new Map<string, ExportedKernel>();
  for (const bits of BITS)
    for (let m = 1; m <= mostProductRows; m += 1) kernels.set(exportName(bits, m), host.kernel(exportName(bits, m)));
  return {
    arrangeRows(operands) {
      const { into, a, m, columns, bits, groupSize } = operands;
      checkColumns(columns, groupSize);
      host.checkRange('arrangeRows a', a, m * columns);
      host.checkRange('arrangeRows into', into, arrangedBytes(m, columns, groupSize), 1);
      for (let i = 0; i < m; i += 1)
        arrangeRow(
          host.memory,
          { ...operands, a: a + F32_BYTES * i * columns, into: into + i * arrangedRow(columns, groupSize) },
          32 / bits,
        );
    },
    quantizedRowProducts({ arranged, codes, scales, offsets, c, m, n, columns, bits, groupSize, zero, rowStrideC }) {
      if (!(m >= 1 && m <= mostProductRows))
        throw new RangeError(`quantizedRowProducts takes 1 to ${mostProductRows} rows, got ${m}: decode the matrix`);
      checkColumns(columns, groupSize);
      const groups = Math.ceil(columns / groupSize);
      host.checkRange('quantizedRowProducts arranged', arranged, arrangedBytes(m, columns, groupSize), 1);
      host.checkRange('quantizedRowProducts codes', codes, (n * columns * bits) / 32);
      host.checkRange('quantizedRowProducts scales', scales, n * groups);
      if (offsets !== undefined) host.checkRange('quantizedRowProducts offsets', offsets, n * groups);
      host.checkRange('quantizedRowProducts c', c, (m - 1) * rowStrideC + n);
      const places = [arranged, arrangedRow(columns, groupSize), F32_BYTES * columns, codes, scales, offsets ?? 0];
      const hasOffsets = offsets === undefined ? 0 : 1;
      kernels.get(exportName(bits, m))!(...places, hasOffsets, c, rowStrideC * F32_BYTES, n, columns, groupSize, zero);
    },
  };
}

function checkColumns(columns: number, groupSize: number): void {
  if (columns % QUANTIZED_RUN !== 0 || groupSize % QUANTIZED_RUN !== 0)
    throw new RangeError(
      `a product with codes as they lie takes columns and groups that are multiples of ${QUANTIZED_RUN}, got ${columns} in groups of ${groupSize}: decode the matrix`,
    );
}

/** One row: element `word · perWord + place` of each block of four words goes to vector `place`, lane `word`. */
function arrangeRow(
  { buffer }: WebAssembly.Memory,
  { a, into, columns, groupSize }: ArrangeArguments,
  perWord: number,
): void {
  const from = new Float32Array(buffer, a, columns);
  const to = new Float32Array(buffer, into, columns);
  const block = 4 * perWord;
  for (let start = 0; start < columns; start += block)
    for (let place = 0; place < perWord; place += 1)
      for (let word = 0; word < 4; word += 1) to[start + 4 * place + word] = from[start + word * perWord + place]!;
  const groups = Math.ceil(columns / groupSize);
  const sums = new Float32Array(buffer, into + F32_BYTES * columns, 4 * groups);
  for (let group = 0; group < groups; group += 1)
    for (let lane = 0; lane < 4; lane += 1) {
      let sum = 0;
      for (let i = group * groupSize + lane; i < Math.min(columns, (group + 1) * groupSize); i += 4) sum += to[i]!;
      sums[4 * group + lane] = sum;
    }
}
