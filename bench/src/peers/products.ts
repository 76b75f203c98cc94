/** Products by other libraries, one thread each, through their public interfaces. */
import type { PrepareProduct } from '../subjects/matmul.ts';
import { loadPeer } from './load.ts';
import { matmulModel } from './onnx-matmul.ts';

interface TfTensor {
  dispose(): void;
  dataSync(): Float32Array;
}
interface Tfjs {
  setBackend(name: string): Promise<boolean>;
  tensor2d(data: Float32Array, shape: readonly number[]): TfTensor;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
}

async function tfjs(): Promise<PrepareProduct> {
  const tf = await loadPeer<Tfjs>('@tensorflow/tfjs-core');
  await loadPeer('@tensorflow/tfjs-backend-wasm');
  if (!(await tf.setBackend('wasm'))) throw new Error('@tensorflow/tfjs-backend-wasm did not start');
  return async ({ m, n, k }, a, b) => {
    const [left, right] = [tf.tensor2d(a, [m, k]), tf.tensor2d(b, [k, n])];
    let c = tf.matMul(left, right);
    return {
      run() {
        c.dispose();
        c = tf.matMul(left, right);
      },
      read: () => c.dataSync(),
    };
  };
}

interface OrtTensor {
  readonly data: Float32Array;
}
interface Ort {
  readonly env?: { readonly wasm?: { numThreads: number } };
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => OrtTensor;
  readonly InferenceSession: {
    create(model: Uint8Array, options: object): Promise<{ run(feeds: object): Promise<{ readonly c: OrtTensor }> }>;
  };
}

const onnxruntime = (name: string) => async (): Promise<PrepareProduct> => {
  const ort = await loadPeer<Ort>(name);
  if (ort.env?.wasm) ort.env.wasm.numThreads = 1;
  return async ({ m, n, k }, a, b) => {
    const session = await ort.InferenceSession.create(matmulModel(m, n, k), {
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
    });
    const feeds = { a: new ort.Tensor('float32', a, [m, k]), b: new ort.Tensor('float32', b, [k, n]) };
    let c: OrtTensor | undefined;
    return {
      async run() {
        ({ c } = await session.run(feeds));
      },
      read: () => c!.data,
    };
  };
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
    let c = multiply(left.ref, right.ref);
    return {
      async run() {
        c.dispose();
        c = multiply(left.ref, right.ref);
        await c.blockUntilReady();
      },
      read: () => c.ref.data(),
    };
  };
}

const peers: Readonly<Record<string, () => Promise<PrepareProduct>>> = {
  'tfjs-backend-wasm': tfjs,
  'onnxruntime-web': onnxruntime('onnxruntime-web'),
  'onnxruntime-node': onnxruntime('onnxruntime-node'),
  'jax-js': jax,
};

export const peerNames = Object.keys(peers);

export async function peerProducts(name: string): Promise<PrepareProduct> {
  const prepare = peers[name];
  if (!prepare) throw new Error(`there is no engine "${name}"`);
  return prepare();
}
