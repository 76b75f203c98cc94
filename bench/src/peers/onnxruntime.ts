/** onnxruntime, native (`onnxruntime-node`) or WebAssembly (`onnxruntime-web`), on one thread. */
import type { Work } from '../work.ts';
import { loadPeer } from './load.ts';
import { OUTPUT, type OnnxNode, onnxModel } from './onnx-model.ts';

interface OrtTensor {
  readonly data: Float32Array;
}
interface Ort {
  readonly env?: { readonly wasm?: { numThreads: number } };
  readonly Tensor: new (type: 'float32', data: Float32Array, shape: readonly number[]) => OrtTensor;
  readonly InferenceSession: {
    create(
      model: Uint8Array,
      options: object,
    ): Promise<{ run(feeds: object): Promise<Readonly<Record<string, OrtTensor>>> }>;
  };
}

export const onnxruntimeNames = ['onnxruntime-node', 'onnxruntime-web'] as const;
export type OnnxruntimeName = (typeof onnxruntimeNames)[number];

/** Runs a node on these values of its inputs; constants have none. */
export type OnnxRunner = (node: OnnxNode, values: Readonly<Record<string, Float32Array>>) => Promise<Work>;

export async function openOnnxruntime(name: OnnxruntimeName): Promise<OnnxRunner> {
  const ort = await loadPeer<Ort>(name);
  if (ort.env?.wasm) ort.env.wasm.numThreads = 1;
  return async (node, values) => {
    const session = await ort.InferenceSession.create(onnxModel(node), { intraOpNumThreads: 1, interOpNumThreads: 1 });
    const feeds = Object.fromEntries(
      Object.entries(values).map(([input, data]) => [input, new ort.Tensor('float32', data, node.inputs[input]!)]),
    );
    let result: OrtTensor | undefined;
    return {
      async run() {
        result = (await session.run(feeds))[OUTPUT];
      },
      read: () => result!.data,
    };
  };
}
