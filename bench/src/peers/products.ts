/** Products by other libraries, one thread each, through their public interfaces. */
import type { PrepareProduct } from '../subjects/matmul.ts';
import { loadPeer } from './load.ts';
import { type OnnxruntimeName, openOnnxruntime } from './onnxruntime.ts';
import { openTfjs, tfWork } from './tfjs.ts';

async function tfjs(): Promise<PrepareProduct> {
  const tf = await openTfjs();
  return async ({ m, n, k }, a, b) => {
    const [left, right] = [tf.tensor(a, [m, k]), tf.tensor(b, [k, n])];
    return tfWork(tf, () => tf.matMul(left, right));
  };
}

/** @param constant whether b is part of the model, as a weight is: then the runtime may lay it out anew beforehand */
const onnxruntime = (name: OnnxruntimeName, constant: boolean) => async (): Promise<PrepareProduct> => {
  const run = await openOnnxruntime(name);
  return ({ m, n, k }, a, b) =>
    run(
      { op: 'MatMul', inputs: { a: [m, k], b: [k, n] }, output: [m, n], ...(constant && { constants: { b } }) },
      constant ? { a } : { a, b },
    );
};

interface JaxArray {
  /** The array with one more owner: operations consume their operands. */
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  blockUntilReady(): Promise<unknown>;
  data(): Promise<Float32Array>;
  dispose(): void;
}
interface Jax {
  init(): Promise<readonly string[]>;
  defaultDevice(name: string): unknown;
  jit<F>(fn: F): F;
  readonly numpy: { array(data: Float32Array): JaxArray; matmul(a: JaxArray, b: JaxArray): JaxArray };
}

async function jax(): Promise<PrepareProduct> {
  const { init, defaultDevice, jit, numpy } = await loadPeer<Jax>('@jax-js/jax');
  await init();
  defaultDevice('wasm');
  return async ({ m, n, k }, a, b) => {
    const [left, right] = [numpy.array(a).reshape([m, k]), numpy.array(b).reshape([k, n])];
    const multiply = jit((x: JaxArray, y: JaxArray) => numpy.matmul(x, y));
    let c: JaxArray | undefined;
    return {
      async run() {
        c?.dispose();
        c = multiply(left.ref, right.ref);
        await c.blockUntilReady();
      },
      read: () => c!.ref.data(),
    };
  };
}

interface NumpyArray {
  readonly data: Float32Array;
  reshape(...shape: readonly number[]): NumpyArray;
  dispose?(): void;
}
interface Numpy {
  configureWasm(settings: { readonly maxMemory: number }): void;
  asarray(data: Float32Array, type: 'float32'): NumpyArray;
  matmul(a: NumpyArray, b: NumpyArray): NumpyArray;
}

async function numpyTs(): Promise<PrepareProduct> {
  const np = await loadPeer<Numpy>('numpy-ts');
  // More than its own choice, which is too little for the largest operands.
  np.configureWasm({ maxMemory: 2 ** 30 });
  return async ({ m, n, k }, a, b) => {
    const [left, right] = [np.asarray(a, 'float32').reshape(m, k), np.asarray(b, 'float32').reshape(k, n)];
    let c: NumpyArray | undefined;
    return {
      run() {
        c?.dispose?.();
        c = np.matmul(left, right);
      },
      read: () => c!.data,
    };
  };
}

const peers: Readonly<Record<string, () => Promise<PrepareProduct>>> = {
  'tfjs-backend-wasm': tfjs,
  'jax-js': jax,
  'numpy-ts': numpyTs,
  'onnxruntime-web': onnxruntime('onnxruntime-web', false),
  'onnxruntime-node': onnxruntime('onnxruntime-node', false),
  'onnxruntime-node, b constant': onnxruntime('onnxruntime-node', true),
};

export const productPeerNames = Object.keys(peers);

export async function peerProducts(name: string): Promise<PrepareProduct> {
  const prepare = peers[name];
  if (!prepare) throw new Error(`there is no engine "${name}"`);
  return prepare();
}
