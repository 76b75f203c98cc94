/**
 * The softmax of attention on blocks of transposed scores [keys, columns]: maxima and sums run down the columns, lane by lane.
 *
 * Forward is online (Milakov and Gimelshein 2018): each query carries the maximum m and the sum l of what it has seen, and a
 * block of keys replaces them,
 *
 *   m' = max(m, max of the block),   alpha = e^(m - m'),   p = e^(s - m'),   l' = alpha l + sum of p,
 *
 * after which the sums over values so far are multiplied by alpha. Where nothing has been seen yet m is -Infinity, and 0 stands
 * in for it: e^-Infinity is 0. A NaN score is passed over by the maximum and comes back through its e^(s - m').
 *
 * Backward knows lse: p = e^(s - lse), ds = p (dp - delta).
 */
import { f32x4, i32, v128 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import { emitExp, emitLogOfNormal } from '../transcendental.js';
import { vectorConstant } from '../vector-loop.js';
import type { PanelColumns } from './products.js';

const VECTOR_BYTES = 16;

/** Bytes of one row of a state: 16 columns, whatever the panel. */
const STATE_ROW = 16 * F32_BYTES;

/** Rows of the state of a panel. */
export const STATE: Readonly<Record<'maximum' | 'sum' | 'shift' | 'alpha', number>> = {
  maximum: 0,
  sum: STATE_ROW,
  shift: 2 * STATE_ROW,
  alpha: 3 * STATE_ROW,
};
export const STATE_BYTES: number = 4 * STATE_ROW;

/** Loads as many vectors as a panel has, off one address. */
const loadAll = (at: Expression<'i32'>, columns: PanelColumns, offset = 0): Expression<'v128'>[] =>
  Array.from({ length: columns / 4 }, (_, i) => v128.load(at, offset + i * VECTOR_BYTES));

const toLocals = (f: FunctionBuilder, values: readonly Expression<'v128'>[]): Local<'v128'>[] =>
  values.map((value) => f.let('vector', value));

/** Computes all values before the first store: loads and stores that alternate are not joined to 256 bits. */
const storeAll = (f: FunctionBuilder, at: Local<'i32'>, values: readonly Expression<'v128'>[], offset = 0): void =>
  f.do(...toLocals(f, values).map((value, i) => v128.store(at, value, offset + i * VECTOR_BYTES)));

/** (scores, keys, state): state.shift <- max(state.maximum, columns of the scores). */
function emitMaxima({ module }: KernelContext, columns: PanelColumns): FunctionReference<'void'> {
  const parameters = { scores: 'i32', keys: 'i32', state: 'i32' } as const;
  const signature = { name: `attentionMaxima${columns}`, parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const rowBytes = columns * F32_BYTES;
    const even = toLocals(f, loadAll(p.state, columns, STATE.maximum));
    const odd = toLocals(f, even);
    f.countDown(p.keys, 2, () => {
      [even, odd].forEach((set, copy) => {
        const row = loadAll(p.scores, columns, copy * rowBytes);
        set.forEach((largest, i) => f.set(largest, f32x4.pmax(largest, row[i]!)));
      });
      f.set(p.scores, i32.add(p.scores, 2 * rowBytes));
    });
    f.if(p.keys, () => {
      const row = loadAll(p.scores, columns);
      even.forEach((largest, i) => f.set(largest, f32x4.pmax(largest, row[i]!)));
    });
    storeAll(
      f,
      p.state,
      even.map((largest, i) => f32x4.pmax(largest, odd[i]!)),
      STATE.shift,
    );
  });
}

/** (scores, keys, state): scores <- e^(scores - shift), added to state.sum. */
function emitExponentials({ module, arithmetic }: KernelContext, columns: PanelColumns): FunctionReference<'void'> {
  const parameters = { scores: 'i32', keys: 'i32', state: 'i32' } as const;
  const signature = { name: `attentionExponentials${columns}`, parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const exp = emitExp(f, arithmetic);
    const shift = toLocals(f, loadAll(p.state, columns, STATE.shift));
    const sums = toLocals(f, loadAll(p.state, columns, STATE.sum));
    f.countDown(p.keys, 1, () => {
      const row = loadAll(p.scores, columns);
      const weights = row.map((score, i) => exp(f32x4.sub(score, shift[i]!)));
      storeAll(f, p.scores, weights);
      sums.forEach((sum, i) => f.set(sum, f32x4.add(sum, weights[i]!)));
      f.set(p.scores, i32.add(p.scores, columns * F32_BYTES));
    });
    storeAll(f, p.state, sums, STATE.sum);
  });
}

/**
 * (scores, keys, state): scores become weights and the state that of all keys so far. Returns whether the sums over the values
 * so far are to be multiplied by state.alpha; else it is 1.
 */
export function emitOnlineSoftmax(context: KernelContext, columns: PanelColumns): FunctionReference<'i32'> {
  const maxima = emitMaxima(context, columns);
  const exponentials = emitExponentials(context, columns);
  const parameters = { scores: 'i32', keys: 'i32', state: 'i32' } as const;
  const signature = { name: `attentionSoftmax${columns}`, parameters, result: 'i32', exported: false } as const;
  return context.module.function(signature, (f, p) => {
    const exp = emitExp(f, context.arithmetic);
    const lowest = vectorConstant(f, 'lowest', -Infinity);
    const changed = f.let('changed', f32x4.constant(0));
    f.callVoid(maxima, p.scores, p.keys, p.state);
    for (let at = 0; at < columns * F32_BYTES; at += VECTOR_BYTES) {
      const before = f.let('before', v128.load(p.state, STATE.maximum + at));
      const after = f.let('after', v128.load(p.state, STATE.shift + at));
      const shift = f.let('shift', v128.andNot(after, f32x4.eq(after, lowest)));
      const alpha = exp(f32x4.sub(before, shift));
      f.set(changed, v128.or(changed, f32x4.ne(before, after)));
      f.do(
        v128.store(p.state, after, STATE.maximum + at),
        v128.store(p.state, shift, STATE.shift + at),
        v128.store(p.state, alpha, STATE.alpha + at),
      );
    }
    const rescales = f.let('rescales', v128.anyTrue(changed));
    f.if(rescales, () => {
      for (let at = 0; at < columns * F32_BYTES; at += VECTOR_BYTES) {
        const sum = f32x4.mul(v128.load(p.state, STATE.sum + at), v128.load(p.state, STATE.alpha + at));
        f.do(v128.store(p.state, sum, STATE.sum + at));
      }
    });
    f.callVoid(exponentials, p.scores, p.keys, p.state);
    f.return(rescales);
  });
}

/** (panel, rows, state): each row [columns] of the panel times state.alpha. */
export function emitRescale({ module }: KernelContext, columns: PanelColumns): FunctionReference<'void'> {
  const parameters = { panel: 'i32', rows: 'i32', state: 'i32' } as const;
  const signature = { name: `attentionRescale${columns}`, parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const alpha = toLocals(f, loadAll(p.state, columns, STATE.alpha));
    f.countDown(p.rows, 1, () => {
      const row = loadAll(p.panel, columns);
      storeAll(
        f,
        p.panel,
        row.map((value, i) => f32x4.mul(value, alpha[i]!)),
      );
      f.set(p.panel, i32.add(p.panel, columns * F32_BYTES));
    });
  });
}

/**
 * (state): state.alpha <- 1 / sum, state.maximum <- maximum + log sum; 0 and Infinity where the sum is 0 because nothing was
 * seen, NaN where it is NaN.
 */
export function emitFinishState({ module, arithmetic }: KernelContext): FunctionReference<'void'> {
  const signature = {
    name: 'attentionFinish',
    parameters: { state: 'i32' },
    result: 'void',
    exported: false,
  } as const;
  return module.function(signature, (f, p) => {
    const log = emitLogOfNormal(f, arithmetic);
    const one = vectorConstant(f, 'one', 1);
    const zero = vectorConstant(f, 'zero', 0);
    const infinity = vectorConstant(f, 'infinity', Infinity);
    for (let at = 0; at < STATE_ROW; at += VECTOR_BYTES) {
      const sum = f.let('sum', v128.load(p.state, STATE.sum + at));
      const unseen = f.let('unseen', f32x4.eq(sum, zero));
      const logarithm = v128.bitselect(log(sum), sum, f32x4.eq(sum, sum));
      const lse = f32x4.add(v128.load(p.state, STATE.shift + at), logarithm);
      f.do(
        v128.store(p.state, v128.bitselect(infinity, lse, unseen), STATE.maximum + at),
        v128.store(p.state, v128.andNot(f32x4.div(one, sum), unseen), STATE.alpha + at),
      );
    }
  });
}

/** (scores, gradient, stride, keys, lse, delta): scores <- p and gradient <- p (gradient - delta), in rows of 16 columns. */
export function emitScoreGradient({ module, arithmetic }: KernelContext): FunctionReference<'void'> {
  const parameters = { scores: 'i32', gradient: 'i32', stride: 'i32', keys: 'i32', lse: 'i32', delta: 'i32' } as const;
  const signature = { name: 'attentionScoreGradient', parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const exp = emitExp(f, arithmetic);
    const lse = toLocals(f, loadAll(p.lse, 16));
    const delta = toLocals(f, loadAll(p.delta, 16));
    f.countDown(p.keys, 1, () => {
      const weights = loadAll(p.scores, 16).map((score, i) => exp(f32x4.sub(score, lse[i]!)));
      const flows = loadAll(p.gradient, 16).map((flow, i) =>
        f.let('flow', f32x4.mul(weights[i]!, f32x4.sub(flow, delta[i]!))),
      );
      storeAll(f, p.scores, weights);
      storeAll(f, p.gradient, flows);
      f.set(p.scores, i32.add(p.scores, p.stride));
      f.set(p.gradient, i32.add(p.gradient, p.stride));
    });
  });
}

/** (scores, stride, mask, keys): scores <- -Infinity where the mask [keys, columns] has no bits. */
export function emitApplyMask({ module }: KernelContext, columns: PanelColumns): FunctionReference<'void'> {
  const parameters = { scores: 'i32', stride: 'i32', mask: 'i32', keys: 'i32' } as const;
  const signature = { name: `attentionMaskScores${columns}`, parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const hidden = vectorConstant(f, 'hidden', -Infinity);
    f.countDown(p.keys, 1, () => {
      const allowed = loadAll(p.mask, columns);
      const row = loadAll(p.scores, columns);
      storeAll(
        f,
        p.scores,
        row.map((score, i) => v128.bitselect(score, hidden, allowed[i]!)),
      );
      f.set(p.scores, i32.add(p.scores, p.stride));
      f.set(p.mask, i32.add(p.mask, columns * F32_BYTES));
    });
  });
}
