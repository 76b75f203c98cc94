/**
 * Attention forward, unit by unit: a block of queries meets block after block of keys, each widened once where it is stored in 16
 * bits, then panel by panel.
 */
import { i32, select } from '../../emit/index.js';
import type { FunctionReference } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import { BLOCK_KEYS, PANEL_QUERIES, TILE_KEYS, TILE_QUERIES } from './blocks.js';
import { FEW_ROWS } from './few-scores.js';
import { MASK_FIELDS, TILE, placeMask, readTile } from './mask-map.js';
import { least } from './mask-run.js';
import type { PanelForm } from './panel-forms.js';
import type { SharedFunctions } from './panel-functions.js';
import { type PanelSteps, emitPanelSteps } from './panel-steps.js';
import { readPlaces, readRecord } from './record.js';
import { STATE_BYTES } from './softmax.js';
import { wordLocals } from './words.js';

export const FORWARD = 'attentionForward';

/**
 * (record, slot, from, count): units that follow each other.
 *
 * @param forms of panels, narrowest first; a panel takes the narrowest that holds it.
 */
export function emitForward(context: KernelContext, forms: readonly PanelForm[], shared: SharedFunctions): void {
  const steps = forms.map((form) => emitPanelSteps(context, form, shared));
  const unit = emitUnit(context, shared, steps);
  const parameters = { record: 'i32', slot: 'i32', from: 'i32', count: 'i32' } as const;
  context.module.function({ name: FORWARD, parameters, result: 'void', exported: true }, (f, p) => {
    f.countDown(p.count, 1, () => {
      f.callVoid(unit, p.record, p.slot, p.from);
      f.set(p.from, i32.add(p.from, 1));
    });
  });
}

function emitUnit(
  context: KernelContext,
  { stage }: SharedFunctions,
  steps: readonly PanelSteps[],
): FunctionReference<'void'> {
  const parameters = { record: 'i32', slot: 'i32', unit: 'i32' } as const;
  const signature = { name: 'attentionUnit', parameters, result: 'void', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    const operands = readRecord(f, p.record, 'q', 'k', 'v', 'y', 'lse', 'strideQ', 'strideK', 'strideY');
    const { keys, width, groups, blocks, storage } = readRecord(
      f,
      p.record,
      'keys',
      'width',
      'groups',
      'blocks',
      'storage',
    );
    const mask = readRecord(f, p.record, ...MASK_FIELDS);
    const { panels, stagedK, stagedV } = readPlaces(f, p.record, p.slot, 'panels', 'stagedK', 'stagedV');
    const panelStride = f.let('panelStride', i32.add(i32.mul(width, 2 * PANEL_QUERIES * F32_BYTES), STATE_BYTES));

    const row = f.let('row', i32.mul(i32.remUnsigned(p.unit, blocks), TILE_QUERIES));
    const group = f.let('group', i32.divUnsigned(p.unit, blocks));
    const keyHead = f.let('keyHead', i32.divUnsigned(group, groups));
    const count = f.let('count', least(i32.sub(mask.rows, row), TILE_QUERIES));
    const firstRow = f.let('firstRow', i32.add(i32.mul(group, mask.rows), row));
    const { program, tiles } = placeMask(f, mask, keyHead, row);
    const strideK = f.let('strideRows', operands.strideK);
    // Few queries widen what they read themselves, a few keys at a time.
    const stages = f.let('stages', select(storage, i32.const(0), i32.gtUnsigned(mask.rows, FEW_ROWS)));
    const codes = f.let('codes', i32.sub(storage, stages));
    f.if(stages, () => f.set(strideK, i32.shl(width, 2)));
    const ofHead = f.let('ofHead', i32.mul(i32.mul(keyHead, keys), operands.strideK));
    const [kHead, vHead] = [f.let('kHead', i32.add(operands.k, ofHead)), f.let('vHead', i32.add(operands.v, ofHead))];

    const { panel, at, rows } = wordLocals(f, 'panel', 'at', 'rows');
    /**
     * Calls a step for each panel, in the narrowest form that holds its rows; that of few rows, which adds in another order, only
     * where there are no others, so that a query has the same bits wherever it stands.
     */
    const forEachPanel = (call: (step: PanelSteps) => void): void => {
      f.set(panel, panels);
      f.for({ index: at, from: 0, below: count, step: PANEL_QUERIES }, () => {
        f.set(rows, least(i32.sub(count, at), PANEL_QUERIES));
        f.block((done) => {
          for (const step of steps) {
            const held = step.columns === FEW_ROWS ? mask.rows : rows;
            f.if(i32.leUnsigned(held, step.columns), () => {
              call(step);
              f.branch(done);
            });
          }
        });
        f.set(panel, i32.add(panel, panelStride));
      });
    };

    const panelRow = i32.add(firstRow, at);
    forEachPanel(({ begin }) =>
      f.callVoid(begin, p.record, panel, i32.add(operands.q, i32.mul(panelRow, operands.strideQ)), rows),
    );

    const { block, start, end, near, far, k, v } = wordLocals(f, 'block', 'start', 'end', 'near', 'far', 'k', 'v');
    f.for({ index: block, from: 0, below: keys, step: BLOCK_KEYS }, () => {
      const second = i32.add(block, TILE_KEYS);
      const map = { tiles, programs: mask.programs, keys };
      readTile(f, near, map, block);
      readTile(f, far, map, second);
      f.set(start, select(block, second, near));
      f.set(end, least(select(i32.add(block, BLOCK_KEYS), second, far), keys));
      f.if(i32.ltUnsigned(start, end), () => {
        f.set(end, i32.sub(end, start));
        const from = f.let('from', i32.mul(start, operands.strideK));
        f.set(k, i32.add(kHead, from));
        f.set(v, i32.add(vHead, from));
        f.if(stages, () => {
          const numbers = f.let('numbers', i32.mul(end, width));
          f.callVoid(stage, storage, stagedK, k, numbers);
          f.callVoid(stage, storage, stagedV, v, numbers);
          f.set(k, stagedK);
          f.set(v, stagedV);
        });
        const isPartial = i32.or(i32.eq(near, TILE.partial), i32.eq(far, TILE.partial));
        const used = f.let('used', select(program, i32.const(0), isPartial));
        forEachPanel(({ attend }) => {
          const inGroup = i32.add(row, at);
          f.callVoid(attend, p.record, p.slot, panel, k, v, strideK, codes, start, end, used, inGroup, rows);
        });
      });
    });

    forEachPanel(({ finish }) => {
      const [y, lse] = [i32.mul(panelRow, operands.strideY), i32.shl(panelRow, 2)];
      f.callVoid(finish, p.record, panel, i32.add(operands.y, y), i32.add(operands.lse, lse), rows);
    });
  });
}
