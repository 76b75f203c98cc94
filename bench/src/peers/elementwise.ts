/** Elementwise ops and norms by other libraries, forward, one thread each. */
import {
  COLUMNS,
  type ElementwiseOpName,
  GELU_TANH,
  LAYER_EPSILON,
  RMS_EPSILON,
  ROWS,
  elementwiseOps,
  operandShapes,
} from '../subjects/elementwise-ops.ts';
import type { PrepareOp } from '../subjects/elementwise.ts';
import type { OnnxNode } from './onnx-model.ts';
import { type OnnxruntimeName, onnxruntimeNames, openOnnxruntime } from './onnxruntime.ts';
import { type TfTensor, type Tfjs, openTfjs, tfWork } from './tfjs.ts';

type NodeOf = Pick<OnnxNode, 'op' | 'domain' | 'integers' | 'floats' | 'strings'>;

/** Ops that are one node there. */
const onnxNodes: Partial<Record<ElementwiseOpName, NodeOf>> = {
  add: { op: 'Add' },
  gelu: { op: 'FastGelu', domain: 'com.microsoft' },
  softmax: { op: 'Softmax', integers: { axis: 1 } },
  // The name that the runtime itself gives to an RMS norm; it is in the standard set there.
  rmsNorm: { op: 'SimplifiedLayerNormalization', integers: { axis: 1 }, floats: { epsilon: RMS_EPSILON } },
  layerNorm: { op: 'LayerNormalization', integers: { axis: 1 }, floats: { epsilon: LAYER_EPSILON } },
};

const onnxruntime = (name: OnnxruntimeName) => async (): Promise<PrepareOp> => {
  const run = await openOnnxruntime(name);
  return async (op, values) => {
    const node = onnxNodes[op];
    if (!node) return null;
    const names = elementwiseOps[op].operands;
    const inputs = Object.fromEntries(names.map((operand) => [operand, operandShapes[operand]]));
    const given = Object.fromEntries(names.map((operand) => [operand, values[operand]]));
    return { forward: await run({ ...node, inputs, output: [ROWS, COLUMNS] }, given) };
  };
};

type Compute = (tf: Tfjs, ...operands: TfTensor[]) => TfTensor;

/** What the library has no op for is composed of those it has, as its users do. */
const tfComputations: Readonly<Record<ElementwiseOpName, Compute>> = {
  add: (tf, x, y) => tf.add(x!, y!),
  gelu(tf, x) {
    const inner = tf.mul(tf.add(x!, tf.mul(tf.mul(tf.square(x!), x!), GELU_TANH.cubic)), GELU_TANH.scale);
    return tf.mul(tf.mul(x!, 0.5), tf.add(tf.tanh(inner), 1));
  },
  swiglu: (tf, x, y) => tf.mul(tf.mul(x!, tf.sigmoid(x!)), y!),
  'fused x·sigmoid(x) + y': (tf, x, y) => tf.add(tf.mul(x!, tf.sigmoid(x!)), y!),
  softmax: (tf, x) => tf.softmax(x!),
  rmsNorm: (tf, x, w) => tf.mul(tf.mul(x!, tf.rsqrt(tf.add(tf.mean(tf.square(x!), 1, true), RMS_EPSILON))), w!),
  layerNorm(tf, x, w, b) {
    const centred = tf.sub(x!, tf.mean(x!, 1, true));
    const factor = tf.rsqrt(tf.add(tf.mean(tf.square(centred), 1, true), LAYER_EPSILON));
    return tf.add(tf.mul(tf.mul(centred, factor), w!), b!);
  },
};

async function tfjs(): Promise<PrepareOp> {
  const tf = await openTfjs();
  return async (op, values) => {
    const operands = elementwiseOps[op].operands.map((name) => tf.tensor(values[name], operandShapes[name]));
    return { forward: tfWork(tf, () => tfComputations[op](tf, ...operands)) };
  };
}

const peers: Readonly<Record<string, () => Promise<PrepareOp>>> = {
  ...Object.fromEntries(onnxruntimeNames.map((name) => [name, onnxruntime(name)])),
  'tfjs-backend-wasm': tfjs,
};

export const elementwisePeerNames = Object.keys(peers);

export async function peerElementwise(name: string): Promise<PrepareOp> {
  const prepare = peers[name];
  if (!prepare) throw new Error(`there is no engine "${name}"`);
  return prepare();
}
