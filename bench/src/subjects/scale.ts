/**
 * A model of Qwen2.5-VL-3B's true shape with random weights: made on the device, one image encoded, a prompt read, tokens
 * decoded. Times do not depend on what the weights are, and memory does not either.
 *
 * The first sample decodes one token, so that all code is compiled; the second is the measurement.
 */
import { presets } from '@mindseye/qwen-vl';
import type { GridThw, Qwen2_5_VLConfig } from '@mindseye/qwen-vl';
import type { Tensor } from '@mindseye/tensor-core';
import { measureMemory } from '../process/memory.ts';
import type { Json, OpenSubject, Sample } from '../process/subject.ts';
import { openScaleDevice } from '../scale/devices.ts';
import { type Programs, openPrograms } from '../scale/programs.ts';
import { type ScaleStorage, matrixBytes, randomModel } from '../scale/random-weights.ts';

export const DECODING = 'decoding: ms per token';

export interface ScaleOptions {
  readonly [key: string]: Json;
  readonly device: string;
  readonly storage: ScaleStorage;
  /** Decoder layers and vision blocks: 36 and 32 in the true shape. */
  readonly layers: number;
  readonly blocks: number;
  /** Patches: frames, rows, columns. */
  readonly grid: GridThw;
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** The true shape, or one with fewer layers. */
export function shapeOf({ layers, blocks }: ScaleOptions): Qwen2_5_VLConfig {
  const config = presets['qwen2.5-vl-3b']();
  const { fullattBlockIndexes } = config.visionConfig;
  return {
    ...config,
    textConfig: { ...config.textConfig, numHiddenLayers: layers },
    visionConfig: {
      ...config.visionConfig,
      depth: blocks,
      fullattBlockIndexes: fullattBlockIndexes.filter((index) => index < blocks),
    },
  };
}

/** Seconds on the clock, and seconds of this process on all cores: on a busy machine only the second says what the work is. */
type Timing = { readonly clock: number; readonly cpu: number };

async function timed<T>(work: () => Promise<T>): Promise<readonly [Timing, T]> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return [{ clock: (performance.now() - start) / 1000, cpu: (user + system) / 1e6 }, result];
}

export const open: OpenSubject<ScaleOptions> = async (options) => {
  const config = shapeOf(options);
  const device = await openScaleDevice(options.device);
  const [making, model] = await timed(() => randomModel(config, options.storage, device));
  const made = await measureMemory(device);
  const [planning, programs] = await timed(() => openPrograms({ config, weights: model.weights }, device, options));
  let isWarm = false;
  let visualTokenSize = 0;
  let timings: Record<string, Timing> = {};
  return {
    async sample() {
      if (!isWarm) {
        await programs.decode(1);
        isWarm = true;
        return {};
      }
      const measured = await measure(programs, options);
      visualTokenSize = await rootMeanSquare(measured.visualTokens);
      timings = { making, planning, ...measured.timings };
      return measured.times;
    },
    details: async () => ({
      model: `Qwen2.5-VL-3B's shape, random weights, ${options.layers} layers and ${options.blocks} vision blocks`,
      storage: options.storage,
      parameters: model.parameters,
      weightBytes: { ...model.bytes },
      matrixBytesInBf16: matrixBytes(config, { decoder: 'bf16', table: 'bf16', vision: 'bf16' }),
      rootMeanSquareOfVisualTokens: visualTokenSize,
      seconds: timings,
      programs: { ...programs.facts },
      memoryOfWeights: made,
      memory: await measureMemory(device),
    }),
  };
};

interface Measured {
  readonly times: Sample;
  readonly timings: Record<string, Timing>;
  readonly visualTokens: Tensor;
}

async function measure(programs: Programs, { promptTokens, newTokens }: ScaleOptions): Promise<Measured> {
  await programs.reset();
  const [vision, visualTokens] = await timed(programs.encode);
  const [prompt, first] = await timed(() => programs.prefill(visualTokens));
  const [decoding] = await timed(async () => {
    let id = first;
    for (let token = 0; token < newTokens; token++) id = await programs.decode(id);
  });
  const times = {
    'vision tower: s': vision.clock,
    'prompt: s': prompt.clock,
    'prompt: tokens/s': promptTokens / prompt.clock,
    [DECODING]: (1000 * decoding.clock) / newTokens,
    'decoding: tokens/s': newTokens / decoding.clock,
  };
  return { times, timings: { vision, prompt, decoding }, visualTokens };
}

/** About 1 for weights that were scaled well. @throws Error when a number is not finite: the run measured nothing real */
async function rootMeanSquare(x: Tensor): Promise<number> {
  const values = await x.data();
  let sum = 0;
  for (const value of values) sum += value * value;
  if (!Number.isFinite(sum)) throw new Error('the visual tokens are not finite: the random weights are scaled wrongly');
  return Math.sqrt(sum / values.length);
}
