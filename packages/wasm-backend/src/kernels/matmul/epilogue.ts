/**
 * What is done to a block of C once its sums are complete, while it is in a cache:
 *
 *   C[i, j] = activation(C[i, j] + bias[j]) + residual[i, j],
 *
 * each part if it is asked for. Every part computes what the kernel of its own computes (row-vector.ts, activation.ts,
 * elementwise.ts), so that a product with an epilogue has the bits of the product followed by those.
 */
import { f32x4, i32 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import type { KernelContext } from '../host.js';
import type { Arithmetic } from '../tier.js';
import { emitCentredNormal, emitSigmoid } from '../transcendental.js';
import { forEachVector, vectorConstant } from '../vector-loop.js';

/** Activations that a product can end with. */
export type ProductActivation = 'gelu' | 'silu';

/** The exported name of the epilogue by itself. */
export const EPILOGUE = 'matmulEpilogue';

/** What an epilogue consists of, as the sum of these; 0 is none. */
export const EPILOGUE_PART = { bias: 1, residual: 2, gelu: 4, silu: 8 } as const;

type Activation = (x: Local<'v128'>) => Expression<'v128'>;

const ACTIVATIONS: Readonly<Record<ProductActivation, (f: FunctionBuilder, arithmetic: Arithmetic) => Activation>> = {
  gelu(f, arithmetic) {
    const centredNormal = emitCentredNormal(f, arithmetic);
    const half = vectorConstant(f, 'half', 0.5);
    return (x) => f32x4.mul(x, f32x4.add(centredNormal(x), half));
  },
  silu(f, arithmetic) {
    const sigmoid = emitSigmoid(f, arithmetic);
    return (x) => f32x4.mul(x, sigmoid(x));
  },
};

const BLOCK = { c: 'i32', cStride: 'i32', rows: 'i32', columns: 'i32' } as const;
const UNROLL = 4;

/** Emits (c, cStride, rows, columns, parts, bias, residual, residualStride); strides in bytes. */
export function emitEpilogue(context: KernelContext): FunctionReference<'void'> {
  const { module } = context;
  const addRows = emitAddRows(context);
  const activations = (['gelu', 'silu'] as const).map((name) => [name, emitActivation(context, name)] as const);
  const parameters = { ...BLOCK, parts: 'i32', bias: 'i32', residual: 'i32', residualStride: 'i32' } as const;
  return module.function({ name: EPILOGUE, parameters, result: 'void', exported: true }, (f, p) => {
    const block = [p.c, p.cStride, p.rows, p.columns] as const;
    const has = (part: number): Expression<'i32'> => i32.and(p.parts, part);
    f.if(has(EPILOGUE_PART.bias), () => f.callVoid(addRows, ...block, p.bias, 0));
    for (const [name, activation] of activations)
      f.if(has(EPILOGUE_PART[name]), () => f.callVoid(activation, ...block));
    f.if(has(EPILOGUE_PART.residual), () => f.callVoid(addRows, ...block, p.residual, p.residualStride));
  });
}

/** C[i, j] += rows[i, j]; with a stride of 0, the same row everywhere. */
function emitAddRows({ module }: KernelContext): FunctionReference<'void'> {
  const parameters = { ...BLOCK, added: 'i32', addedStride: 'i32' } as const;
  return module.function({ name: 'addRowsToBlock', parameters, result: 'void', exported: false }, (f, p) => {
    f.countDown(p.rows, 1, () => {
      const [inC, inAdded] = [f.let('inC', p.c), f.let('inAdded', p.added)];
      forEachVector(f, { cursors: [inC, inAdded], count: p.columns, unroll: UNROLL }, (lanes) => {
        f.do(lanes.store(inC, f32x4.add(lanes.load(inC), lanes.load(inAdded))));
      });
      f.set(p.c, i32.add(p.c, p.cStride));
      f.set(p.added, i32.add(p.added, p.addedStride));
    });
  });
}

function emitActivation({ module, arithmetic }: KernelContext, name: ProductActivation): FunctionReference<'void'> {
  const signature = { name: `${name}OfBlock`, parameters: BLOCK, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const activation = ACTIVATIONS[name](f, arithmetic);
    f.countDown(p.rows, 1, () => {
      const inC = f.let('inC', p.c);
      forEachVector(f, { cursors: [inC], count: p.columns, unroll: UNROLL }, (lanes) => {
        f.do(lanes.store(inC, activation(f.let('x', lanes.load(inC)))));
      });
      f.set(p.c, i32.add(p.c, p.cStride));
    });
  });
}
