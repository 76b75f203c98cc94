/**
 * Packing of B into panels of a tile's width: panel q holds B[p, w·q .. w·q + w - 1] at panels + q · panelStride + 4w · p, so
 * that the micro-kernel reads one contiguous stream. Columns beyond n are zero. Three writers:
 * - B stored [k, n], whole panels: rows are read front to back and dealt out to the panels;
 * - B stored [n, k] (the layout of a linear layer's weight), whole panels: 4 x 4 transpositions;
 * - the last, partial panel, of either storage, element by element.
 */
import { f32, i32, memory, select, v128 } from '../../emit/index.js';
import type { FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { type FourVectors, transposed as turned } from '../transposed.js';
import { TILES } from './blocking.js';

/** The exported name of the packing. */
export const PACK_B = 'matmulPackB';

export const PACK_B_PARAMETERS = {
  panels: 'i32',
  /** Bytes between panels. */
  panelStride: 'i32',
  b: 'i32',
  /** Bytes between stored rows. */
  bStride: 'i32',
  /** Not zero: B is stored [n, k]. */
  transposed: 'i32',
  depth: 'i32',
  columns: 'i32',
} as const;

/** Emits (panels, panelStride, b, bStride, transposed, depth, columns). */
export function emitPackB(context: KernelContext): FunctionReference<'void'> {
  const [rows, transposed, edge] = [emitRows(context), emitTransposed(context), emitEdge(context)];
  const width = TILES[context.tier].columns;
  const signature = { name: PACK_B, parameters: PACK_B_PARAMETERS, result: 'void', exported: true } as const;
  return context.module.function(signature, (f, p) => {
    const whole = f.let('whole', i32.and(p.columns, -width));
    const common = [p.panels, p.panelStride, p.b, p.bStride, p.depth, whole] as const;
    f.if(
      p.transposed,
      () => f.callVoid(transposed, ...common),
      () => f.callVoid(rows, ...common),
    );
    f.if(i32.ne(p.columns, whole), () => {
      const four = i32.const(F32_BYTES);
      const strideK = f.let('strideK', select(four, p.bStride, p.transposed));
      const strideN = f.let('strideN', select(p.bStride, four, p.transposed));
      const panel = i32.add(p.panels, i32.mul(i32.divUnsigned(whole, width), p.panelStride));
      const first = i32.add(p.b, i32.mul(whole, strideN));
      f.callVoid(edge, panel, first, strideK, strideN, p.depth, i32.sub(p.columns, whole));
    });
  });
}

/** Stored rows that are dealt out together: a panel is written in runs of a kilobyte, so that few pages are open at a time. */
const ROWS_AT_A_TIME = 16;

const PANEL_PARAMETERS = {
  panels: 'i32',
  panelStride: 'i32',
  b: 'i32',
  bStride: 'i32',
  depth: 'i32',
  columns: 'i32',
} as const;

function emitRows({ module, tier }: KernelContext): FunctionReference<'void'> {
  const width = TILES[tier].columns;
  const rowBytes = width * F32_BYTES;
  const signature = { name: 'packRows', parameters: PANEL_PARAMETERS, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const [column, source, row, target] = ['column', 'source', 'row', 'target'].map((name) => f.local('i32', name)) as [
      Index,
      Index,
      Index,
      Index,
    ];
    const offsets = Array.from({ length: width / 4 }, (_, i) => 16 * i);
    for (const rows of [ROWS_AT_A_TIME, 1]) {
      f.countDown(p.depth, rows, () => {
        f.set(source, p.b);
        f.set(target, p.panels);
        f.for({ index: column, from: 0, below: p.columns, step: width }, () => {
          f.set(row, source);
          for (let i = 0; i < rows; i += 1) {
            const vectors = offsets.map((offset) => f.let('vector', v128.load(row, offset)));
            const stores = vectors.map((vector, j) => v128.store(target, vector, i * rowBytes + offsets[j]!));
            f.do(...stores.toReversed());
            if (i + 1 < rows) f.set(row, i32.add(row, p.bStride));
          }
          f.set(source, i32.add(source, rowBytes));
          f.set(target, i32.add(target, p.panelStride));
        });
        f.set(p.b, i32.add(p.b, i32.mul(p.bStride, rows)));
        f.set(p.panels, i32.add(p.panels, rows * rowBytes));
      });
    }
  });
}

function emitTransposed({ module, tier }: KernelContext): FunctionReference<'void'> {
  const width = TILES[tier].columns;
  const rowBytes = width * F32_BYTES;
  const signature = { name: 'packTransposed', parameters: PANEL_PARAMETERS, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const [column, group, target] = ['column', 'group', 'target'].map((name) => f.local('i32', name)) as [
      Index,
      Index,
      Index,
    ];
    const source = Array.from({ length: 4 }, () => f.local('i32', 'source'));
    const remaining = f.local('i32', 'remaining');
    const advance = (steps: number): void => {
      for (const pointer of source) f.set(pointer, i32.add(pointer, steps * F32_BYTES));
      f.set(target, i32.add(target, steps * rowBytes));
    };
    f.for({ index: column, from: 0, below: p.columns, step: width }, () => {
      // Four stored rows at a time: their four streams and the panel, which is in L1, need few registers.
      f.for({ index: group, from: 0, below: rowBytes, step: 16 }, () => {
        source.forEach((pointer, j) => f.set(pointer, j === 0 ? p.b : i32.add(source[j - 1]!, p.bStride)));
        f.set(p.b, i32.add(source[3]!, p.bStride));
        f.set(target, i32.add(p.panels, group));
        f.set(remaining, p.depth);
        f.countDown(remaining, 4, () => {
          const rows = source.map((pointer) => f.let('row', v128.load(pointer))) as unknown as FourVectors;
          f.do(...turned(f, rows).map((value, i) => v128.store(target, value, i * rowBytes)));
          advance(4);
        });
        f.countDown(remaining, 1, () => {
          f.do(...source.map((pointer, j) => f32.store(target, f32.load(pointer), F32_BYTES * j)));
          advance(1);
        });
      });
      f.set(p.panels, i32.add(p.panels, p.panelStride));
    });
  });
}

type Index = Local<'i32'>;

function emitEdge({ module, tier }: KernelContext): FunctionReference<'void'> {
  const rowBytes = TILES[tier].columns * F32_BYTES;
  const parameters = { panel: 'i32', b: 'i32', strideK: 'i32', strideN: 'i32', depth: 'i32', columns: 'i32' } as const;
  return module.function({ name: 'packEdge', parameters, result: 'void', exported: false }, (f, p) => {
    const [column, step, source, target] = ['column', 'step', 'source', 'target'].map((name) =>
      f.local('i32', name),
    ) as [Index, Index, Index, Index];
    f.do(memory.fill(p.panel, 0, i32.mul(p.depth, rowBytes)));
    f.for({ index: column, from: 0, below: p.columns, step: 1 }, () => {
      f.set(source, i32.add(p.b, i32.mul(column, p.strideN)));
      f.set(target, i32.add(p.panel, i32.shl(column, 2)));
      f.for({ index: step, from: 0, below: p.depth, step: 1 }, () => {
        f.do(f32.store(target, f32.load(source)));
        f.set(source, i32.add(source, p.strideK));
        f.set(target, i32.add(target, rowBytes));
      });
    });
  });
}
