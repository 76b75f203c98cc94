/** What the scale check runs: the true shape, and a cut that shows in seconds that it runs. */
import type { ScaleOptions } from '../subjects/scale.ts';

/** An image of 672 × 896 pixels: 3,072 patches, 768 visual tokens; the prompt has 256 tokens of text beside them. */
export const fullScale: ScaleOptions = {
  device: 'wasm',
  // What `mindseye quantize --format mixed` makes.
  storage: { decoder: 4, table: 8, vision: 'bf16' },
  layers: 36,
  blocks: 32,
  grid: [1, 48, 64],
  promptTokens: 1024,
  newTokens: 16,
};

export const quickScale: ScaleOptions = {
  ...fullScale,
  layers: 1,
  blocks: 1,
  grid: [1, 8, 8],
  promptTokens: 32,
  newTokens: 2,
};
