/**
 * The row kernels of attention, between the matrix products: they turn a block of scores q k^T [rows, columns] into
 * probabilities, and the gradient of probabilities into that of scores. See attention.ts for the maths.
 */
import { f32, f32x4, i32, memory, v128 } from '../emit/index.js';
import type { Local } from '../emit/index.js';
import { F32_BYTES } from './host.js';
import type { ExportedKernel, KernelContext, KernelHost } from './host.js';
import { forEachRow, rowCursors } from './rows.js';
import { emitExponentials, emitRowMaximum, isEmptyRow } from './softmax-rows.js';
import { emitExp, emitLogOfNormal } from './transcendental.js';
import { Accumulators, forEachVector, vectorConstant } from './vector-loop.js';

const UNROLL = 2;

/** In place on scores; `mask` is bytes [rows, columns] or undefined. */
export type ScoreKernel = (
  scores: number,
  mask: number | undefined,
  lse: number,
  rows: number,
  columns: number,
  scale: number,
) => void;

/** The row kernels bound to a memory. They check nothing: the caller has. */
export interface AttentionRowKernels {
  /** scores <- softmax(scale scores where allowed); lse is written. */
  readonly softmax: ScoreKernel;
  /** scores <- e^(scale scores - lse) where allowed, else 0. */
  readonly probabilities: ScoreKernel;
  /** (probabilities, gradient, y, dy, bytes between rows of y, rows, columns, width, scale), in place on gradient. */
  readonly scoreGradient: ExportedKernel;
}

/** Emits the row kernels; those that look at the mask in two versions, with and without one. */
export function emitAttentionRows(context: KernelContext): void {
  for (const masked of [false, true]) {
    emitAttentionSoftmax(context, masked);
    emitAttentionProbabilities(context, masked);
  }
  emitAttentionScoreGradient(context);
}

const withSuffix = (name: string, masked: boolean): string => (masked ? `${name}Masked` : name);

const SCORE_PARAMETERS = {
  scores: 'i32',
  mask: 'i32',
  lse: 'i32',
  rows: 'i32',
  columns: 'i32',
  scale: 'f32',
} as const;

/** scores <- softmax(scale scores where allowed); lse is written. */
function emitAttentionSoftmax({ module, arithmetic }: KernelContext, masked: boolean): void {
  const name = withSuffix('attentionSoftmax', masked);
  module.function({ name, parameters: SCORE_PARAMETERS, result: 'void', exported: true }, (f, p) => {
    const rowBytes = f.let('rowBytes', i32.shl(p.columns, 2));
    const scale = f.let('scale', f32x4.splat(p.scale));
    const hidden = vectorConstant(f, 'hidden', -Infinity);
    const rowMaximum = emitRowMaximum(f);
    const normalize = emitExponentials(f, arithmetic);
    const log = emitLogOfNormal(f, arithmetic);
    const cursor = f.local('i32', 'cursor');
    forEachRow(
      f,
      p.rows,
      [
        [p.scores, rowBytes],
        [p.lse, F32_BYTES],
      ],
      () => {
        f.set(cursor, p.scores);
        // The mask cursor itself moves on to the next row.
        const byteCursors = masked ? [p.mask] : [];
        forEachVector(f, { cursors: [cursor], byteCursors, count: p.columns, unroll: UNROLL }, (lanes) => {
          const scaled = f32x4.mul(lanes.load(cursor), scale);
          f.do(lanes.store(cursor, masked ? v128.bitselect(scaled, hidden, lanes.loadMask(p.mask)) : scaled));
        });
        const maximum = rowMaximum(p.scores, p.columns);
        f.if(
          isEmptyRow(maximum),
          () => f.do(memory.fill(p.scores, 0, rowBytes), f32.store(p.lse, Infinity)),
          () => {
            const total = normalize(p.scores, p.scores, p.columns, maximum);
            f.do(v128.store32Lane(p.lse, f32x4.add(maximum, log(total)), 0));
          },
        );
      },
    );
  });
}

/** scores <- e^(scale scores - lse) where allowed, else 0. */
function emitAttentionProbabilities({ module, arithmetic }: KernelContext, masked: boolean): void {
  const name = withSuffix('attentionProbabilities', masked);
  module.function({ name, parameters: SCORE_PARAMETERS, result: 'void', exported: true }, (f, p) => {
    const scale = f.let('scale', f32x4.splat(p.scale));
    const exp = emitExp(f, arithmetic);
    const lse = f.local('v128', 'lseRow');
    forEachRow(f, p.rows, [[p.lse, F32_BYTES]], () => {
      f.set(lse, v128.load32Splat(p.lse));
      const loop = { cursors: [p.scores], byteCursors: masked ? [p.mask] : [], count: p.columns, unroll: UNROLL };
      forEachVector(f, loop, (lanes) => {
        const probability = exp(f32x4.sub(f32x4.mul(lanes.load(p.scores), scale), lse));
        const allowed = masked ? v128.and(probability, lanes.loadMask(p.mask)) : probability;
        f.do(lanes.store(p.scores, allowed));
      });
    });
  });
}

const GRADIENT_PARAMETERS = {
  probabilities: 'i32',
  gradient: 'i32',
  y: 'i32',
  dy: 'i32',
  yStride: 'i32',
  rows: 'i32',
  columns: 'i32',
  width: 'i32',
  scale: 'f32',
} as const;

/** gradient (dP, [rows, columns]) <- P (dP - delta) scale, delta = sum of y dy over a row of width elements. */
function emitAttentionScoreGradient({ module, arithmetic }: KernelContext): void {
  const signature = {
    name: 'attentionScoreGradient',
    parameters: GRADIENT_PARAMETERS,
    result: 'void',
    exported: true,
  } as const;
  module.function(signature, (f, p) => {
    const scale = f.let('scale', f32x4.splat(p.scale));
    const products = new Accumulators(f, 'product', UNROLL);
    const row = rowCursors(f, p.y, p.dy);
    const [y, dy] = row.cursors as readonly [Local<'i32'>, Local<'i32'>];
    forEachRow(
      f,
      p.rows,
      [
        [p.y, p.yStride],
        [p.dy, p.yStride],
      ],
      () => {
        row.reset();
        products.fill(f32x4.constant(0));
        forEachVector(f, { cursors: [y, dy], count: p.width, unroll: UNROLL }, (lanes) => {
          const sum = products.of(lanes.copy);
          f.set(sum, arithmetic.multiplyAdd(lanes.own(lanes.load(y)), lanes.load(dy), sum));
        });
        const delta = products.sum();
        forEachVector(f, { cursors: [p.probabilities, p.gradient], count: p.columns, unroll: UNROLL }, (lanes) => {
          const weight = f32x4.mul(lanes.load(p.probabilities), scale);
          f.do(lanes.store(p.gradient, f32x4.mul(weight, f32x4.sub(lanes.load(p.gradient), delta))));
        });
      },
    );
  });
}

/** Binds the row kernels. */
export function bindAttentionRows(host: KernelHost): AttentionRowKernels {
  return {
    softmax: bindScoreKernel(host, 'attentionSoftmax'),
    probabilities: bindScoreKernel(host, 'attentionProbabilities'),
    scoreGradient: host.kernel('attentionScoreGradient'),
  };
}

function bindScoreKernel(host: KernelHost, name: string): ScoreKernel {
  const plain = host.kernel(withSuffix(name, false));
  const masked = host.kernel(withSuffix(name, true));
  return (scores, mask, lse, rows, columns, scale) => {
    if (mask === undefined) plain(scores, 0, lse, rows, columns, scale);
    else masked(scores, mask, lse, rows, columns, scale);
  };
}
