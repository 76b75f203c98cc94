/** Ops on one element at a time, where operands lie as the results do; broadcasting beyond a scalar or a row is left to the reference. */
import { sameShape, sizeOf } from '@mindseye/tensor-core';
import type { Kernels } from '../../kernels/index.js';
import { type KernelRow, type KernelRows, columnsOf, isF32, rowsOf } from '../kernel-row.js';

type UnaryName = 'neg' | 'sqrt' | 'exp' | 'sigmoid' | 'tanh' | 'gelu';
type BinaryName = 'add' | 'sub' | 'mul' | 'div' | 'maximum' | 'minimum' | 'swiglu';

const unary = (name: UnaryName): KernelRow => ({
  takes: ([x]) => isF32(x),
  run({ kernels, inputs: [x], outputs: [y] }) {
    kernels[name](y!.pointer, x!.pointer, sizeOf(y!.shape));
  },
});

const binary = (name: BinaryName): KernelRow => ({
  takes: ([a, b]) => isF32(a, b) && sameShape(a!.shape, b!.shape),
  run({ kernels, inputs: [a, b], outputs: [y] }) {
    kernels[name](y!.pointer, a!.pointer, b!.pointer, sizeOf(y!.shape));
  },
});

const scalarAt = (kernels: Kernels, pointer: number): number => new Float32Array(kernels.memory.buffer, pointer, 1)[0]!;

/** x · s for a scalar on either side. */
const mul: KernelRow = {
  takes: ([a, b]) => isF32(a, b) && (sameShape(a!.shape, b!.shape) || sizeOf(a!.shape) === 1 || sizeOf(b!.shape) === 1),
  run(call) {
    const {
      kernels,
      inputs: [a, b],
      outputs: [y],
    } = call;
    if (sameShape(a!.shape, b!.shape)) return binary('mul').run(call);
    const [x, scalar] = sizeOf(b!.shape) === 1 ? [a!, b!] : [b!, a!];
    kernels.scale(y!.pointer, x.pointer, scalarAt(kernels, scalar.pointer), sizeOf(y!.shape));
  },
};

/** x + row for a vector along the last axis. */
const add: KernelRow = {
  takes: ([a, b]) =>
    isF32(a, b) && (sameShape(a!.shape, b!.shape) || (b!.shape.length === 1 && a!.shape.at(-1) === b!.shape[0])),
  run(call) {
    const {
      kernels,
      inputs: [a, b],
      outputs: [y],
    } = call;
    if (sameShape(a!.shape, b!.shape)) return binary('add').run(call);
    kernels.addRowVector(y!.pointer, a!.pointer, b!.pointer, rowsOf(y!), columnsOf(y!));
  },
};

/** Inputs gate, up, y and dy. */
const swigluBackward: KernelRow = {
  run({ kernels, inputs: [gate, up, , dy], outputs: [dgate, dup] }) {
    kernels.swigluBackward({
      gate: gate!.pointer,
      up: up!.pointer,
      dy: dy!.pointer,
      dgate: dgate!.pointer,
      dup: dup!.pointer,
      count: sizeOf(dy!.shape),
    });
  },
};

/** Inputs x, y and dy. */
const geluBackward: KernelRow = {
  run({ kernels, inputs: [x, , dy], outputs: [dx] }) {
    kernels.geluBackward(dx!.pointer, x!.pointer, dy!.pointer, sizeOf(dx!.shape));
  },
};

const unaryNames: readonly UnaryName[] = ['neg', 'sqrt', 'exp', 'sigmoid', 'tanh', 'gelu'];
const binaryNames: readonly BinaryName[] = ['sub', 'div', 'maximum', 'minimum', 'swiglu'];

export const elementwiseRows: KernelRows = {
  ...Object.fromEntries(unaryNames.map((name) => [name, unary(name)])),
  ...Object.fromEntries(binaryNames.map((name) => [name, binary(name)])),
  add,
  mul,
  swigluBackward,
  geluBackward,
};
