/**
 * Attention by onnxruntime, on one thread. MultiHeadAttention is the fastest op that it has for the purpose. Its fastest code
 * knows no causal mask, so it is also measured without one: with twice the work, and another result.
 */
import { HEADS, layouts, operandNames } from '../subjects/attention-sizes.ts';
import type { PreparedAttention } from '../subjects/attention.ts';
import { type OnnxruntimeName, openOnnxruntime } from './onnxruntime.ts';

interface AttentionPeer {
  readonly runtime: OnnxruntimeName;
  readonly isCausal: boolean;
}

const peers: Readonly<Record<string, AttentionPeer>> = {
  'onnxruntime-node': { runtime: 'onnxruntime-node', isCausal: true },
  'onnxruntime-node, no mask': { runtime: 'onnxruntime-node', isCausal: false },
  'onnxruntime-web': { runtime: 'onnxruntime-web', isCausal: true },
  'onnxruntime-web, no mask': { runtime: 'onnxruntime-web', isCausal: false },
};

export const attentionPeerNames = Object.keys(peers);

export async function peerAttention(
  name: string,
  length: number,
  values: readonly Float32Array[],
): Promise<PreparedAttention> {
  const peer = peers[name];
  if (!peer) throw new Error(`there is no engine "${name}"`);
  const { runtime, isCausal } = peer;
  const run = await openOnnxruntime(runtime);
  const layout = layouts.headsTogether;
  const shape = layout.shape(length);
  const forward = await run(
    {
      op: 'MultiHeadAttention',
      domain: 'com.microsoft',
      inputs: Object.fromEntries(operandNames.map((operand) => [operand, shape])),
      output: shape,
      integers: { num_heads: HEADS, unidirectional: Number(isCausal) },
    },
    Object.fromEntries(operandNames.map((operand, i) => [operand, values[i]!])),
  );
  return { forward, layout, isCausal };
}
