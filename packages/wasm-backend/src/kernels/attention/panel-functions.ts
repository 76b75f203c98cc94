/** The functions on panels of one width that forward and backward share. */
import type { FunctionReference } from '../../emit/index.js';
import type { KernelContext } from '../host.js';
import { emitMaskRun } from './mask-run.js';
import { emitQueryNumbers } from './mask-tiles.js';
import { emitPackTransposed, emitUnpackTransposed } from './panels.js';
import { type PanelColumns, emitProduct } from './products.js';
import { emitApplyMask, emitFinishState } from './softmax.js';
import { emitStage } from './staging.js';

type Function = FunctionReference<'void'>;

/** Documented where they are emitted. */
export interface PanelFunctions {
  readonly columns: PanelColumns;
  readonly pack: Function;
  readonly unpack: Function;
  readonly maskRun: Function;
  readonly applyMask: Function;
  /** Rows of keys or values against a panel. */
  readonly rowsByPanel: Function;
  /** The transpose of rows of keys or values against scores, added to a panel. */
  readonly addTransposed: Function;
}

/** Functions that know no width. */
export interface SharedFunctions {
  readonly queryNumbers: Function;
  readonly finishState: Function;
  readonly stage: Function;
}

export const emitPanelFunctions = (context: KernelContext, columns: PanelColumns): PanelFunctions => ({
  columns,
  pack: emitPackTransposed(context, columns),
  unpack: emitUnpackTransposed(context, columns),
  maskRun: emitMaskRun(context, columns),
  applyMask: emitApplyMask(context, columns),
  rowsByPanel: emitProduct(context, { layout: 'rows', start: 'zero', columns }),
  addTransposed: emitProduct(context, { layout: 'columns', start: 'accumulate', columns }),
});

export const emitSharedFunctions = (context: KernelContext): SharedFunctions => ({
  queryNumbers: emitQueryNumbers(context),
  finishState: emitFinishState(context),
  stage: emitStage(context),
});
