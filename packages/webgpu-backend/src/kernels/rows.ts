/** Rows of a table by index: gather, and its transpose scatterAdd. An index outside the table is reported (see `status.ts`). */
import { sizeOf } from '@mindseye/tensor-core';
import { elementsPerWord, wgslTypeOf } from '../element.js';
import { faultReport } from '../status.js';
import { dispatch, input, output } from '../wgsl/dispatch.js';
import { loadElement, mapDispatch } from '../wgsl/map.js';
import { Uniforms } from '../wgsl/uniforms.js';
import { type Kernel, isArithmetic } from './kernel.js';

/** One invocation per word of the result; rows of whole words are moved as such. A row that does not exist reads as zeros. */
const gather: Kernel = {
  accepts: () => true,
  lower({ inputs: [table], outputs: [y] }) {
    const uniforms = new Uniforms();
    const width = sizeOf(table!.shape.slice(1));
    const isWhole = width % elementsPerWord(table!.dtype) === 0;
    const unit = isWhole ? elementsPerWord(table!.dtype) : 1;
    const dtype = isWhole ? 'u32' : table!.dtype;
    return [
      mapDispatch({
        name: 'gather',
        operands: [
          { name: 'table', type: 'u32', from: input(0) },
          { name: 'indices', type: 'i32', from: input(1) },
        ],
        results: [{ name: 'y', dtype, from: output(), value: 'element' }],
        uniforms,
        declarations: [faultReport('gather')],
        status: true,
        count: sizeOf(y!.shape) / unit,
        body: `  let width = ${uniforms.u32(width / unit)};
  let rows = ${uniforms.u32(table!.shape[0]!)};
  let row = indices[i / width];
  var element = 0u;
  if (row < 0 || u32(row) >= rows) {
    reportFault(row, 1u, rows);
  } else {
    let at = u32(row) * width + i % width;
    element = ${loadElement('table', dtype, 'at')};
  }`,
      }),
    ];
  },
};

const scatterLanes = 64;

/**
 * One workgroup per row of the result. All its invocations walk the whole list of indices; on a hit, each adds its own
 * columns. No atomics, and every element is summed in index order by one invocation, so results repeat exactly.
 */
const scatterAdd: Kernel<{ readonly rows: number }> = {
  accepts: ([updates]) => isArithmetic(updates!.dtype),
  lower({ inputs: [updates, indices], outputs: [y], attributes: { rows } }) {
    const uniforms = new Uniforms();
    const type = wgslTypeOf(updates!.dtype);
    return [
      dispatch({
        name: 'scatterAdd',
        operands: [
          { name: 'updates', type, from: input(0) },
          { name: 'indices', type: 'i32', from: input(1) },
          { name: 'y', type, from: output() },
        ],
        uniforms,
        declarations: [faultReport('scatterAdd')],
        status: true,
        invocations: scatterLanes,
        workgroups: Math.max(1, rows),
        body: `  let rows = ${uniforms.u32(rows)};
  let width = ${uniforms.u32(sizeOf(y!.shape.slice(1)))};
  let count = ${uniforms.u32(sizeOf(indices!.shape))};
  if (block == 0u) {
    for (var at = lane; at < count; at += ${scatterLanes}u) {
      if (indices[at] < 0 || u32(indices[at]) >= rows) { reportFault(indices[at], 1u, rows); }
    }
  }
  if (block >= rows) { return; }
  for (var column = lane; column < width; column += ${scatterLanes}u) { y[block * width + column] = ${type}(0); }
  for (var at = 0u; at < count; at++) {
    if (u32(indices[at]) != block) { continue; }
    for (var column = lane; column < width; column += ${scatterLanes}u) {
      y[block * width + column] += updates[at * width + column];
    }
  }`,
      }),
    ];
  },
};

export const rowKernels: Readonly<Record<string, Kernel>> = { gather, scatterAdd: scatterAdd as Kernel };
