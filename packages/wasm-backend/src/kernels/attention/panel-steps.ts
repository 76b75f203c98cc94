/**
 * What is done to one panel of queries forward: it is packed, meets block after block of keys, and is written out.
 *
 * A panel in scratch is the queries, scaled; the sums over values; and the state of its softmax. Scores of a block become weights
 * in place: of a transposed panel they are Sᵀ [keys, columns] = K·Qᵀ, and at once the right side of Oᵀ += Vᵀ·Pᵀ.
 */
import { f32x4, i32, memory, v128 } from '../../emit/index.js';
import type { FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import { PANEL_QUERIES } from './blocks.js';
import { isSeen, trimRun } from './mask-run.js';
import type { PanelForm, PanelPlace } from './panel-forms.js';
import type { SharedFunctions } from './panel-functions.js';
import type { PanelColumns } from './products.js';
import { readPlaces, readRecord, readScale } from './record.js';
import { STATE, STATE_BYTES, emitOnlineSoftmax } from './softmax.js';

const COLUMN_BYTES = PANEL_QUERIES * F32_BYTES;

/** Bytes of a panel in scratch, whatever its form. */
export const panelBytes = (width: number): number => 2 * width * COLUMN_BYTES + STATE_BYTES;

/** The three steps of a panel. */
export interface PanelSteps {
  readonly columns: number;
  /** (record, panel, rows, count) */
  readonly begin: FunctionReference<'void'>;
  /**
   * (record, slot, panel, k, v, strideK, storage, first, keys, program, row, count): a block of keys. `storage` is 0 for those
   * that lie widened; `program` is 0 where all queries see all keys; `row` is the place of the panel's first row in its row group.
   */
  readonly attend: FunctionReference<'void'>;
  /** (record, panel, y, lse, count) */
  readonly finish: FunctionReference<'void'>;
}

export function emitPanelSteps(context: KernelContext, form: PanelForm, shared: SharedFunctions): PanelSteps {
  return {
    columns: form.columns,
    begin: emitBegin(context, form),
    attend: emitAttend(context, form, shared),
    finish: emitFinish(context, form, shared),
  };
}

/** The parts of a panel. */
function placeOf(f: FunctionBuilder, panel: Local<'i32'>, width: Local<'i32'>, count: Local<'i32'>): PanelPlace {
  const bytes = f.let('panelWidth', i32.mul(width, COLUMN_BYTES));
  const sums = f.let('sums', i32.add(panel, bytes));
  return { queries: panel, sums, state: f.let('state', i32.add(sums, bytes)), width, count };
}

function emitBegin(context: KernelContext, form: PanelForm): FunctionReference<'void'> {
  const parameters = { record: 'i32', panel: 'i32', rows: 'i32', count: 'i32' } as const;
  const signature = { name: `attentionBegin${form.columns}`, parameters, result: 'void', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    const { width, strideQ } = readRecord(f, p.record, 'width', 'strideQ');
    const panel = placeOf(f, p.panel, width, p.count);
    form.pack(f, panel, { first: p.rows, stride: strideQ }, p.record, readScale(f, p.record));
    f.do(memory.fill(panel.sums, 0, i32.mul(width, COLUMN_BYTES)), memory.fill(panel.state, 0, STATE_BYTES));
    for (let at = 0; at < COLUMN_BYTES; at += 16)
      f.do(v128.store(panel.state, f32x4.constant(-Infinity), STATE.maximum + at));
  });
}

function emitAttend(
  context: KernelContext,
  form: PanelForm,
  { queryNumbers }: SharedFunctions,
): FunctionReference<'void'> {
  const { columns, maskRun, applyMask } = form;
  const softmax = emitOnlineSoftmax(context, columns as PanelColumns);
  const parameters = {
    record: 'i32',
    slot: 'i32',
    panel: 'i32',
    k: 'i32',
    v: 'i32',
    strideK: 'i32',
    storage: 'i32',
    first: 'i32',
    keys: 'i32',
    program: 'i32',
    row: 'i32',
    count: 'i32',
  } as const;
  const signature = { name: `attentionAttend${columns}`, parameters, result: 'void', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    const rowBytes = columns * F32_BYTES;
    const { width, queries, programBytes } = readRecord(f, p.record, 'width', 'queries', 'programBytes');
    const places = readPlaces(f, p.record, p.slot, 'scores', 'partials', 'stagedK', 'mask', 'stack', 'numbers');
    const { scores, partials, stagedK: staged, mask, stack, numbers } = places;
    const panel = placeOf(f, p.panel, width, p.count);
    f.if(p.program, () => {
      const end = f.let('end', i32.add(p.program, programBytes));
      f.callVoid(queryNumbers, p.program, end, numbers, p.row, p.count, queries);
      f.callVoid(maskRun, mask, p.program, end, numbers, p.first, p.keys, stack);
      const skip = (): void => {
        f.set(mask, i32.add(mask, rowBytes));
        f.set(p.k, i32.add(p.k, p.strideK));
        f.set(p.v, i32.add(p.v, p.strideK));
      };
      trimRun(f, { keys: p.keys, isSeen: (key) => isSeen(i32.add(mask, i32.mul(key, rowBytes)), columns), skip });
      f.if(i32.eqz(p.keys), () => f.return());
    });
    const run = { stride: p.strideK, keys: p.keys, storage: p.storage, staged };
    form.score(f, panel, { ...run, first: p.k }, scores, partials);
    f.if(p.program, () => f.callVoid(applyMask, scores, rowBytes, mask, p.keys));
    f.if(f.call(softmax, scores, p.keys, panel.state), () => form.rescale(f, panel));
    form.addValues(f, panel, { ...run, first: p.v }, scores);
  });
}

function emitFinish(
  context: KernelContext,
  form: PanelForm,
  { finishState }: SharedFunctions,
): FunctionReference<'void'> {
  const parameters = { record: 'i32', panel: 'i32', y: 'i32', lse: 'i32', count: 'i32' } as const;
  const signature = {
    name: `attentionFinishPanel${form.columns}`,
    parameters,
    result: 'void',
    exported: false,
  } as const;
  return context.module.function(signature, (f, p) => {
    const { width, strideY } = readRecord(f, p.record, 'width', 'strideY');
    const panel = placeOf(f, p.panel, width, p.count);
    f.callVoid(finishState, panel.state);
    form.unpack(f, panel, { first: p.y, stride: strideY });
    f.do(memory.copy(p.lse, i32.add(panel.state, STATE.maximum), i32.shl(p.count, 2)));
  });
}
