/** TensorFlow.js on its WebAssembly backend; in Node it has one thread. */
import type { Work } from '../work.ts';
import { loadPeer } from './load.ts';

export interface TfTensor {
  dispose(): void;
  dataSync(): Float32Array;
}

/** The part of the library that is used. */
export interface Tfjs {
  setBackend(name: string): Promise<boolean>;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  /** Runs a function and disposes all that it made but its result. */
  tidy<T>(fn: () => T): T;
  matMul(a: TfTensor, b: TfTensor): TfTensor;
  add(a: TfTensor, b: TfTensor | number): TfTensor;
  sub(a: TfTensor, b: TfTensor): TfTensor;
  mul(a: TfTensor, b: TfTensor | number): TfTensor;
  div(a: TfTensor, b: TfTensor | number): TfTensor;
  tanh(x: TfTensor): TfTensor;
  erf(x: TfTensor): TfTensor;
  sigmoid(x: TfTensor): TfTensor;
  square(x: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
  mean(x: TfTensor, axis: number, keepDims: boolean): TfTensor;
  softmax(x: TfTensor): TfTensor;
}

export async function openTfjs(): Promise<Tfjs> {
  const tf = await loadPeer<Tfjs>('@tensorflow/tfjs-core');
  await loadPeer('@tensorflow/tfjs-backend-wasm');
  if (!(await tf.setBackend('wasm'))) throw new Error('@tensorflow/tfjs-backend-wasm did not start');
  return tf;
}

/** A computation whose old result is given up before it runs again. */
export function tfWork(tf: Tfjs, compute: () => TfTensor): Work {
  let result: TfTensor | undefined;
  return {
    run() {
      result?.dispose();
      result = tf.tidy(compute);
    },
    read: () => result!.dataSync(),
  };
}
