/**
 * Attention backward, unit by unit: all queries of some row groups against the keys of one head. dK and dV are sums over queries in
 * order, within one unit, so that they do not depend on what other units do.
 */
import { i32, memory } from '../../emit/index.js';
import type { KernelContext } from '../host.js';
import { emitQueryBlock } from './backward-block.js';
import { least } from './mask-run.js';
import type { PanelFunctions, SharedFunctions } from './panel-functions.js';
import { PANEL_ROWS, ROW_PANEL_COLUMNS } from './panels.js';
import { readRecord } from './record.js';
import { wordLocals } from './words.js';

export const BACKWARD = 'attentionBackward';

/** (record, slot, from, count): units that follow each other. Panels are of `PANEL_QUERIES` columns. */
export function emitBackward(context: KernelContext, panel: PanelFunctions, shared: SharedFunctions): void {
  const block = emitQueryBlock(context, panel, shared);
  const parameters = { record: 'i32', slot: 'i32', from: 'i32', count: 'i32' } as const;
  context.module.function({ name: BACKWARD, parameters, result: 'void', exported: true }, (f, p) => {
    const { keys, rows, groups, groupsPerChunk, chunks } = readRecord(
      f,
      p.record,
      'keys',
      'rows',
      'groups',
      'groupsPerChunk',
      'chunks',
    );
    const sums = readRecord(f, p.record, 'dk', 'dv', 'strideSums', 'bytesSums', 'bytesChunk', 'width');
    const { group, end, row, key, dk, dv } = wordLocals(f, 'group', 'end', 'row', 'key', 'dk', 'dv');
    f.countDown(p.count, 1, () => {
      const keyHead = f.let('keyHead', i32.divUnsigned(p.from, chunks));
      const chunk = f.let('chunk', i32.remUnsigned(p.from, chunks));
      const ofUnit = f.let('ofUnit', i32.add(i32.mul(keyHead, sums.bytesSums), i32.mul(chunk, sums.bytesChunk)));
      f.set(dk, i32.add(sums.dk, ofUnit));
      f.set(dv, i32.add(sums.dv, ofUnit));
      const paddedBytes = i32.shl(i32.and(i32.add(sums.width, ROW_PANEL_COLUMNS - 1), -ROW_PANEL_COLUMNS), 2);
      const rowBytes = f.let('rowBytes', paddedBytes);
      f.for({ index: key, from: 0, below: keys, step: 1 }, () => {
        f.do(memory.fill(dk, 0, rowBytes), memory.fill(dv, 0, rowBytes));
        f.set(dk, i32.add(dk, sums.strideSums));
        f.set(dv, i32.add(dv, sums.strideSums));
      });
      f.set(dk, i32.add(sums.dk, ofUnit));
      f.set(dv, i32.add(sums.dv, ofUnit));
      f.set(group, i32.mul(chunk, groupsPerChunk));
      f.set(end, least(i32.add(group, groupsPerChunk), groups));
      f.for({ index: group, from: group, below: end, step: 1 }, () => {
        f.for({ index: row, from: 0, below: rows, step: PANEL_ROWS }, () => {
          f.callVoid(block, p.record, p.slot, keyHead, group, row, dk, dv);
        });
      });
      f.set(p.from, i32.add(p.from, 1));
    });
  });
}
