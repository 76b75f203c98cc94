/**
 * Random words: Philox4x32-10 (Salmon et al. 2011), bit for bit the layout of tensor-core's `random/philox.ts`.
 *
 * One invocation per block of four words: counter (block number, 0, stream, 0), key = the two seed words.
 */
import { sizeOf } from '@mindseye/tensor-core';
import { elementDispatch, input, output } from '../wgsl/dispatch.js';
import { Uniforms } from '../wgsl/uniforms.js';
import type { Kernel } from './kernel.js';

/** High and low words of 32-bit products through 16-bit halves: WGSL has no 64-bit integers. */
export const philox = `
fn highProduct(a: u32, b: u32) -> u32 {
  let aLow = a & 0xffffu;
  let aHigh = a >> 16u;
  let bLow = b & 0xffffu;
  let bHigh = b >> 16u;
  let middle = aHigh * bLow + ((aLow * bLow) >> 16u);
  let carry = aLow * bHigh + (middle & 0xffffu);
  return aHigh * bHigh + (middle >> 16u) + (carry >> 16u);
}
fn philox(counter: vec4u, seed: vec2u) -> vec4u {
  var c = counter;
  var key = seed;
  for (var round = 0u; round < 10u; round++) {
    c = vec4u(
      highProduct(0xcd9e8d57u, c.z) ^ c.y ^ key.x, 0xcd9e8d57u * c.z,
      highProduct(0xd2511f53u, c.x) ^ c.w ^ key.y, 0xd2511f53u * c.x,
    );
    key += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}`;

const randomBits: Kernel<{ readonly stream: number }> = {
  accepts: () => true,
  lower({ outputs: [y], attributes: { stream } }) {
    const uniforms = new Uniforms();
    const count = sizeOf(y!.shape);
    return [
      elementDispatch({
        name: 'randomBits',
        operands: [
          { name: 'seed', type: 'u32', from: input(0) },
          { name: 'y', type: 'u32', from: output() },
        ],
        uniforms,
        declarations: [philox],
        count: Math.ceil(count / 4),
        body: `  let words = philox(vec4u(i, 0u, ${uniforms.u32(stream)}, 0u), vec2u(seed[0], seed[1]));
  let count = ${uniforms.u32(count)};
  for (var word = 0u; word < 4u; word++) {
    if (i * 4u + word < count) { y[i * 4u + word] = words[word]; }
  }`,
      }),
    ];
  },
};

export const randomKernels: Readonly<Record<string, Kernel>> = { randomBits: randomBits as Kernel };
