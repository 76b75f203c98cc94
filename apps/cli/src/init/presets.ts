/** Models that `mindseye init` makes: sizes whose tokenizer can be trained from nothing in a moment. */
import { type Qwen2_5_VLConfig, tinyConfig } from '@mindseye/qwen-vl';

export interface InitPreset {
  readonly summary: string;
  readonly config: () => Qwen2_5_VLConfig;
}

export const initPresets: Readonly<Record<string, InitPreset>> = {
  tiny: { summary: 'the size everything here is shown on, under a million parameters', config: () => tinyConfig() },
  nano: { summary: 'half as wide and deep: for trying a pipeline out in seconds', config: nanoConfig },
};

function nanoConfig(): Qwen2_5_VLConfig {
  const tiny = tinyConfig();
  return {
    ...tiny,
    textConfig: {
      ...tiny.textConfig,
      hiddenSize: 48,
      intermediateSize: 128,
      numHiddenLayers: 2,
      numAttentionHeads: 3,
      numKeyValueHeads: 1,
    },
    visionConfig: {
      ...tiny.visionConfig,
      depth: 2,
      hiddenSize: 32,
      intermediateSize: 64,
      numHeads: 2,
      outHiddenSize: 48,
      fullattBlockIndexes: [1],
    },
  };
}
