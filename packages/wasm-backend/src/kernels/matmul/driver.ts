/**
 * The blocked loops over n, k and m around the strips: pack a block of B, then multiply every block of A with it. One driver
 * per layout of A, exported to JavaScript.
 */
import { i32, memory, select } from '../../emit/index.js';
import type { FunctionBuilder, Local } from '../../emit/index.js';
import { F32_BYTES } from '../host.js';
import type { KernelContext } from '../host.js';
import { BLOCK_COLUMNS, BLOCK_DEPTH, BLOCK_ROWS, EDGE_TILE_BYTES, TILE_COLUMNS } from './blocking.js';
import type { LayoutA } from './micro-kernel.js';
import type { Packing } from './packing.js';
import { minimum } from './strip.js';
import type { Strips } from './strip.js';

/** How the driver gets at B. */
export const LAYOUT_B = { inPlace: 0, rows: 1, transposed: 2 } as const;

/** The exported name of each driver. */
export const DRIVER: Readonly<Record<LayoutA, string>> = { rows: 'matmulRowsA', columns: 'matmulColumnsA' };

const DRIVER_PARAMETERS = {
  a: 'i32',
  aStride: 'i32',
  b: 'i32',
  bStride: 'i32',
  layoutB: 'i32',
  c: 'i32',
  cStride: 'i32',
  m: 'i32',
  n: 'i32',
  k: 'i32',
  accumulate: 'i32',
  /** Edge tile, then a block of A. */
  scratch: 'i32',
  /** Packed block of B. */
  panels: 'i32',
  /** Not zero: copy blocks of A (layout `columns`) into scratch. */
  copyA: 'i32',
} as const;

/** The blocked loops over n, k and m. */
export function emitDriver(context: KernelContext, layout: LayoutA, packing: Packing, strips: Strips): void {
  const signature = { name: DRIVER[layout], parameters: DRIVER_PARAMETERS, result: 'void', exported: true } as const;
  context.module.function(signature, (f, p) => {
    emitEmptySum(f, p);
    const transposed = f.let('transposed', i32.eq(p.layoutB, LAYOUT_B.transposed));
    const inPlace = f.let('inPlace', i32.eq(p.layoutB, LAYOUT_B.inPlace));
    // B[p, j] is at b + p * strideK + j * strideN.
    const four = f.let('four', i32.const(F32_BYTES));
    const strideK = f.let('strideK', select(four, p.bStride, transposed));
    const strideN = f.let('strideN', select(p.bStride, four, transposed));

    const [jc, pc, ic, jr] = ['jc', 'pc', 'ic', 'jr'].map((name) => f.local('i32', name)) as [
      Index,
      Index,
      Index,
      Index,
    ];
    const columns = f.local('i32', 'columns');
    const wholeColumns = f.local('i32', 'wholeColumns');
    const depth = f.local('i32', 'depth');
    const rows = f.local('i32', 'rows');
    const fromC = f.local('i32', 'fromC');
    const bBlock = f.local('i32', 'bBlock');
    const aBlock = f.local('i32', 'aBlock');
    const aStride = f.local('i32', 'aStride');
    const step = f.local('i32', 'step');
    const cTile = f.local('i32', 'cTile');
    const panel = f.local('i32', 'panel');
    const panelBytes = f.local('i32', 'panelBytes');
    const edgePanel = f.local('i32', 'edgePanel');

    const pack = (): void => {
      const wholePanels = [p.panels, bBlock, p.bStride, depth, wholeColumns] as const;
      f.if(i32.eq(p.layoutB, LAYOUT_B.rows), () => f.callVoid(packing.rows, ...wholePanels));
      f.if(transposed, () => f.callVoid(packing.transposed, ...wholePanels));
      f.set(edgePanel, i32.add(p.panels, i32.mul(i32.shl(wholeColumns, 2), depth)));
      f.if(i32.ne(columns, wholeColumns), () => {
        const edge = i32.add(bBlock, i32.mul(wholeColumns, strideN));
        f.callVoid(packing.edge, edgePanel, edge, strideK, strideN, depth, i32.sub(columns, wholeColumns));
      });
    };
    const copyBlockOfA = (): void => {
      const target = f.let('target', i32.add(p.scratch, EDGE_TILE_BYTES));
      f.set(aStride, i32.shl(rows, 2));
      f.for({ index: step, from: 0, below: depth, step: 1 }, () => {
        f.do(memory.copy(target, aBlock, aStride));
        f.set(target, i32.add(target, aStride));
        f.set(aBlock, i32.add(aBlock, p.aStride));
      });
      f.set(aBlock, i32.add(p.scratch, EDGE_TILE_BYTES));
    };
    const multiplyBlock = (): void => {
      const fromRow = layout === 'rows' ? i32.mul(ic, p.aStride) : i32.shl(ic, 2);
      const fromDepth = layout === 'rows' ? i32.shl(pc, 2) : i32.mul(pc, p.aStride);
      f.set(aBlock, i32.add(p.a, i32.add(fromRow, fromDepth)));
      f.set(aStride, p.aStride);
      if (layout === 'columns') f.if(p.copyA, copyBlockOfA);
      f.set(cTile, i32.add(p.c, i32.add(i32.mul(ic, p.cStride), i32.shl(jc, 2))));
      f.set(panel, select(bBlock, p.panels, inPlace));
      f.set(panelBytes, select(i32.const(TILE_COLUMNS * F32_BYTES), i32.mul(depth, TILE_COLUMNS * F32_BYTES), inPlace));
      const panelStride = select(p.bStride, i32.const(TILE_COLUMNS * F32_BYTES), inPlace);
      f.for({ index: jr, from: 0, below: wholeColumns, step: TILE_COLUMNS }, () => {
        f.callVoid(strips.whole, aBlock, aStride, panel, panelStride, cTile, p.cStride, depth, fromC, rows);
        f.set(panel, i32.add(panel, panelBytes));
        f.set(cTile, i32.add(cTile, TILE_COLUMNS * F32_BYTES));
      });
      f.if(i32.ne(columns, wholeColumns), () => {
        const common = [
          aBlock,
          aStride,
          edgePanel,
          TILE_COLUMNS * F32_BYTES,
          cTile,
          p.cStride,
          depth,
          fromC,
          rows,
        ] as const;
        f.callVoid(strips.edge, ...common, i32.sub(columns, wholeColumns), p.scratch);
      });
    };

    f.for({ index: jc, from: 0, below: p.n, step: BLOCK_COLUMNS }, () => {
      f.set(columns, minimum(i32.sub(p.n, jc), BLOCK_COLUMNS));
      f.set(wholeColumns, i32.and(columns, -TILE_COLUMNS));
      f.for({ index: pc, from: 0, below: p.k, step: BLOCK_DEPTH }, () => {
        f.set(depth, minimum(i32.sub(p.k, pc), BLOCK_DEPTH));
        f.set(fromC, i32.or(p.accumulate, pc));
        f.set(bBlock, i32.add(p.b, i32.add(i32.mul(pc, strideK), i32.mul(jc, strideN))));
        pack();
        f.for({ index: ic, from: 0, below: p.m, step: BLOCK_ROWS }, () => {
          f.set(rows, minimum(i32.sub(p.m, ic), BLOCK_ROWS));
          multiplyBlock();
        });
      });
    });
  });
}

type Index = Local<'i32'>;
type DriverParameters = { readonly [K in keyof typeof DRIVER_PARAMETERS]: Index };

/** k = 0: the sum is empty, so C is zero unless it is accumulated into. */
function emitEmptySum(f: FunctionBuilder, p: DriverParameters): void {
  const row = f.local('i32', 'row');
  f.if(i32.eqz(i32.or(p.k, p.accumulate)), () => {
    f.for({ index: row, from: 0, below: p.m, step: 1 }, () => {
      f.do(memory.fill(i32.add(p.c, i32.mul(row, p.cStride)), 0, i32.shl(p.n, 2)));
    });
  });
}
