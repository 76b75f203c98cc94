/**
 * C[z, m, n] = Σ_k A[z, m, k] · B[z, k, n] in f32, either operand stored transposed.
 *
 * One workgroup of 16×16 invocations per 16×16 tile of C. Each step over k loads one tile of A and one of B into workgroup
 * memory, in the order they lie in, and every invocation adds a partial sum of 16 products; adding sums of 16 keeps the
 * rounding error of a long k low. Tiles of all batches are numbered in one row.
 */
import { type MatmulAttributes, matmulSizes } from '@mindseye/tensor-core';
import { dispatch, input, output } from '../wgsl/dispatch.js';
import { Uniforms } from '../wgsl/uniforms.js';
import type { Kernel } from './kernel.js';

const tile = 16;

/** Loads one operand's tile. Its rows run along m (or n), its columns along k, however it is stored. */
function loadTile(name: 'left' | 'right', contiguous: boolean, origin: string, extent: string): string {
  const data = name === 'left' ? 'a' : 'b';
  // Invocations next to each other read words next to each other: along k when k is the last axis, else along m or n.
  const [row, column] = contiguous ? ['slow', 'fast'] : ['fast', 'slow'];
  const place = contiguous ? `(${origin} + row) * depth + column` : `column * ${extent} + ${origin} + row`;
  return `    {
      let row = ${row};
      let column = k + ${column};
      var word = 0.0;
      if (${origin} + row < ${extent} && column < depth) { word = ${data}[${data}Base + ${place}]; }
      ${name}[row * ${tile + 1}u + ${column}] = word;
    }`;
}

const matmul: Kernel<MatmulAttributes> = {
  accepts: ([a, b]) => a!.dtype === 'f32' && b!.dtype === 'f32',
  lower({ inputs: [a, b], attributes }) {
    const { batch, m, n, k } = matmulSizes(a!, b!, attributes);
    const uniforms = new Uniforms();
    const [down, across] = [Math.ceil(m / tile), Math.ceil(n / tile)];
    return [
      dispatch({
        name: 'matmul',
        operands: [
          { name: 'a', type: 'f32', from: input(0) },
          { name: 'b', type: 'f32', from: input(1) },
          { name: 'y', type: 'f32', from: output() },
        ],
        uniforms,
        // Rows are one word longer than a tile, so that a column of them lies in different memory banks.
        declarations: [
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
${loadTile('left', !attributes.transposeA, 'm0', 'rows')}
${loadTile('right', attributes.transposeB, 'n0', 'columns')}
    workgroupBarrier();
    var part = 0.0;
    for (var step = 0u; step < ${tile}u; step++) {
      part += left[slow * ${tile + 1}u + step] * right[fast * ${tile + 1}u + step];
    }
    total += part;
    workgroupBarrier();
  }
  if (m0 + slow < rows && n0 + fast < columns) {
    y[(z * rows + m0 + slow) * columns + n0 + fast] = total;
  }`,
      }),
    ];
  },
};

export const matmulKernels: Readonly<Record<string, Kernel>> = { matmul: matmul as Kernel };
