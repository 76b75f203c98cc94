/** The mask of a run of keys against one panel, and how a run loses the keys at its ends that no query sees. */
import { i32, select, v128 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local, Operand } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import { MASK_KEYS, emitMaskTile } from './mask-tiles.js';
import type { PanelColumns } from './products.js';

/** The smaller of two counts. */
export const least = (a: Expression<'i32'>, b: Operand<'i32'>): Expression<'i32'> =>
  select(a, typeof b === 'number' ? i32.const(b) : b, i32.ltUnsigned(a, b));

/** (out, program, end, numbers, first, keys, stack): the mask [keys, columns] of any number of keys. */
export function emitMaskRun(context: KernelContext, columns: PanelColumns): FunctionReference<'void'> {
  const maskTile = emitMaskTile(context, columns);
  const parameters = {
    out: 'i32',
    program: 'i32',
    end: 'i32',
    numbers: 'i32',
    first: 'i32',
    keys: 'i32',
    stack: 'i32',
  } as const;
  const signature = { name: `attentionMaskRun${columns}`, parameters, result: 'void', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    const rowBytes = columns * F32_BYTES;
    const at = f.local('i32', 'at');
    f.for({ index: at, from: 0, below: p.keys, step: MASK_KEYS }, () => {
      const out = i32.add(p.out, i32.mul(at, rowBytes));
      const first = i32.add(p.first, at);
      f.callVoid(maskTile, out, p.program, p.end, p.numbers, first, least(i32.sub(p.keys, at), MASK_KEYS), p.stack);
    });
  });
}

/** Whether any query of a panel sees the key whose mask lies at `row`. */
export const isSeen = (row: Expression<'i32'>, columns: number): Expression<'i32'> => {
  let any: Expression<'v128'> = v128.load(row);
  for (let at = 16; at < columns * F32_BYTES; at += 16) any = v128.or(any, v128.load(row, at));
  return v128.anyTrue(any);
};

interface Run {
  readonly keys: Local<'i32'>;
  /** Writes what is needed to tell, and returns it. */
  readonly isSeen: (key: Expression<'i32'>) => Expression<'i32'>;
  /** Moves all pointers on by a key. */
  readonly skip: () => void;
}

/** Shortens a run by the keys at its ends that nobody sees. */
export function trimRun(f: FunctionBuilder, { keys, isSeen: seen, skip }: Run): void {
  f.block((done) => {
    f.loop((again) => {
      f.branchIf(done, i32.eqz(keys));
      f.branchIf(done, seen(i32.sub(keys, 1)));
      f.set(keys, i32.sub(keys, 1));
      f.branch(again);
    });
  });
  f.block((done) => {
    f.loop((again) => {
      f.branchIf(done, i32.eqz(keys));
      f.branchIf(done, seen(i32.const(0)));
      skip();
      f.set(keys, i32.sub(keys, 1));
      f.branch(again);
    });
  });
}
