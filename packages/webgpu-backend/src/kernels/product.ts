/**
 * y[z, m, n] = Σ_k a[z, m, k] · b[z, k, n] + bias[n] in f32: the shader behind `matmul` and the linear layers. Either operand
 * may be stored transposed; b may be stored in f16 or bf16 and is widened as it is read.
 *
 * One workgroup of 16×16 invocations per 16×16 tile of y. Each step over k loads one tile of a and one of b into workgroup
 * memory, in the order they lie in, and every invocation adds a partial sum of 16 products; adding sums of 16 keeps the
 * rounding error of a long k low. Tiles of all batches are numbered in one row.
 */
import type { DType } from '@mindseye/tensor-core';
import { wgslTypeOf } from '../element.js';
import { type Dispatch, dispatch, input, output } from '../wgsl/dispatch.js';
import type { WgslFunctions } from '../wgsl/functions.js';
import { loadElement } from '../wgsl/map.js';
import { halfCodes } from '../wgsl/math.js';
import { Uniforms } from '../wgsl/uniforms.js';

export interface Product {
  readonly name: string;
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** How b is stored. */
  readonly weight: DType;
  /** Input 2, [n]. */
  readonly hasBias: boolean;
}

/** Element `index` (a name, or in brackets) of an array in f32, f16 or bf16, as f32. */
export const storedElement = (array: string, dtype: DType, index: string): string => {
  const element = loadElement(array, dtype, index);
  return dtype === 'f32' ? element : `${dtype}ToF32(${element})`;
};

/** The elements of the word `word` as f32 expressions, in order. */
export const wordElements: Partial<Record<DType, readonly string[]>> = {
  f32: ['word'],
  bf16: ['bitcast<f32>(word << 16u)', 'bitcast<f32>(word & 0xffff0000u)'],
  f16: ['f16ToF32(word & 0xffffu)', 'f16ToF32(word >> 16u)'],
};

/** What `storedElement` and `wordElements` call. */
export const weightFunctions = (dtype: DType): readonly WgslFunctions[] => (dtype === 'f32' ? [] : [halfCodes]);

export const isWeight = (dtype: DType): boolean => dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';

const tile = 16;

interface TileSource {
  readonly tile: 'left' | 'right';
  /** Whether k is the last axis of the operand. */
  readonly contiguous: boolean;
  /** First row of the tile, and the number of rows (along m or n), by their names. */
  readonly origin: string;
  readonly extent: string;
  readonly base: string;
  readonly element: (index: string) => string;
}

/** Loads one operand's tile. Its rows run along m (or n), its columns along k, however it is stored. */
function loadTile({ tile: name, contiguous, origin, extent, base, element }: TileSource): string {
  // Invocations next to each other read words next to each other: along k when k is the last axis, else along m or n.
  const [row, column] = contiguous ? ['slow', 'fast'] : ['fast', 'slow'];
  const place = contiguous ? `(${origin} + row) * depth + column` : `column * ${extent} + ${origin} + row`;
  return `    {
      let row = ${row};
      let column = k + ${column};
      var word = 0.0;
      if (${origin} + row < ${extent} && column < depth) {
        let at = ${base} + ${place};
        word = ${element('at')};
      }
      ${name}[row * ${tile + 1}u + ${column}] = word;
    }`;
}

export function productDispatch(product: Product): Dispatch {
  const { name, batch, m, n, k, transposeA, transposeB, weight, hasBias } = product;
  const uniforms = new Uniforms();
  const [down, across] = [Math.ceil(m / tile), Math.ceil(n / tile)];
  const bias = hasBias ? [{ name: 'bias', type: 'f32' as const, from: input(2) }] : [];
  return dispatch({
    name,
    operands: [
      { name: 'a', type: 'f32', from: input(0) },
      { name: 'b', type: wgslTypeOf(weight), from: input(1) },
      ...bias,
      { name: 'y', type: 'f32', from: output() },
    ],
    uniforms,
    // Rows are one word longer than a tile, so that a column of them lies in different memory banks.
    declarations: [
      ...weightFunctions(weight),
      `var<workgroup> left: array<f32, ${tile * (tile + 1)}>;`,
      `var<workgroup> right: array<f32, ${tile * (tile + 1)}>;`,
    ],
    invocations: tile * tile,
    workgroups: batch * down * across,
    body: `  if (block >= ${uniforms.u32(batch * down * across)}) { return; }
  let rows = ${uniforms.u32(m)};
  let columns = ${uniforms.u32(n)};
  let depth = ${uniforms.u32(k)};
  let across = ${uniforms.u32(across)};
  let z = block / ${uniforms.u32(down * across)};
  let tileNumber = block % ${uniforms.u32(down * across)};
  let m0 = (tileNumber / across) * ${tile}u;
  let n0 = (tileNumber % across) * ${tile}u;
  let slow = lane / ${tile}u;
  let fast = lane % ${tile}u;
  let aBase = z * rows * depth;
  let bBase = z * columns * depth;
  var total = 0.0;
  for (var k = 0u; k < depth; k += ${tile}u) {
${loadTile({ tile: 'left', contiguous: !transposeA, origin: 'm0', extent: 'rows', base: 'aBase', element: (index) => `a[${index}]` })}
${loadTile({ tile: 'right', contiguous: transposeB, origin: 'n0', extent: 'columns', base: 'bBase', element: (index) => storedElement('b', weight, index) })}
    workgroupBarrier();
    var part = 0.0;
    for (var step = 0u; step < ${tile}u; step++) {
      part += left[slow * ${tile + 1}u + step] * right[fast * ${tile + 1}u + step];
    }
    total += part;
    workgroupBarrier();
  }
  if (m0 + slow < rows && n0 + fast < columns) {
    y[(z * rows + m0 + slow) * columns + n0 + fast] = total${hasBias ? ' + bias[n0 + fast]' : ''};
  }`,
  });
}
