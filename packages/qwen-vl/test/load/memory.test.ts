/**
 * With a device to load to, the host never holds more than the tensor that is being built and a window of its file.
 *
 * Counted, not timed: at uploads and in the middle of reading a tensor garbage is collected and the bytes of all array buffers
 * that are alive are looked up. The source makes its numbers up and the device keeps none, so that nothing else is on the host.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  type Device,
  type HostArray,
  type SafetensorsDtype,
  type TensorInfo,
  type TensorSource,
  sizeOf,
} from '@mindseye/tensor-core';
import { expect, test } from 'vitest';
import { tinyConfig } from '../../src/config/presets.js';
import type { QuantizationConfig } from '../../src/config/quantization-config.js';
import { type LoadOptions, loadWeights } from '../../src/load/load-weights.js';
import { parameterShapes } from '../../src/model/parameters.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function arrayBufferBytes(): number {
  // The memory of buffers that are found dead is given back by the time of the next collection.
  collect();
  collect();
  return process.memoryUsage().arrayBuffers;
}

interface Meter {
  sample(): void;
  readonly peak: () => number;
}

function createMeter(): Meter {
  const before = arrayBufferBytes();
  let peak = 0;
  return {
    sample: () => void (peak = Math.max(peak, arrayBufferBytes() - before)),
    peak: () => peak,
  };
}

/** Counts what it is given and forgets it. */
function createSink(meter: Meter): { readonly device: Device; readonly uploads: number[] } {
  const uploads: number[] = [];
  const device = {
    name: 'sink',
    upload(data: HostArray) {
      if (data.byteLength >= LARGE) meter.sample();
      uploads.push(data.byteLength);
      return { byteLength: data.byteLength };
    },
    release: () => undefined,
    memory: () => ({ rootBytes: 0, arenaBytes: 0, peakBytes: 0 }),
  } as unknown as Device;
  return { device, uploads };
}

/** Tensors that weigh; a collection for each of the others would only take time. */
const LARGE = 2 ** 19;

const byteSizes: Partial<Record<SafetensorsDtype, number>> = { F32: 4, F16: 2, BF16: 2, I32: 4, U32: 4 };

function createSource(
  tensors: ReadonlyMap<string, readonly [SafetensorsDtype, readonly number[]]>,
  meter: Meter,
): TensorSource {
  const info = (name: string): TensorInfo => {
    const [dtype, shape] = tensors.get(name)!;
    return { dtype, shape, byteOffset: 0, byteLength: sizeOf(shape) * byteSizes[dtype]! };
  };
  return {
    names: () => [...tensors.keys()],
    info,
    readRangeInto: async (name: string, from: number, target: Uint8Array) => {
      expect(from + target.length).toBeLessThanOrEqual(info(name).byteLength);
      const { byteLength } = info(name);
      const isSecondOrLast = (from > 0 && from <= target.length) || from + target.length === byteLength;
      if (byteLength >= LARGE && isSecondOrLast) meter.sample();
      target.fill(1);
    },
  } as unknown as TensorSource;
}

const VOCABULARY = 2 ** 15;
const HIDDEN = 512;
const base = tinyConfig();
const config = {
  ...base,
  textConfig: { ...base.textConfig, vocabSize: VOCABULARY, hiddenSize: HIDDEN, numHiddenLayers: 1 },
  visionConfig: { ...base.visionConfig, depth: 1, outHiddenSize: HIDDEN },
  tieWordEmbeddings: false,
};
const elements = VOCABULARY * HIDDEN;

type Parts = Readonly<Record<string, readonly [SafetensorsDtype, readonly number[]]>>;

interface Case {
  readonly dense: SafetensorsDtype;
  /** What stands in the place of the embedding and the head. */
  readonly packed?: Parts;
  readonly quantization?: QuantizationConfig;
  readonly options: LoadOptions;
  /** Bytes of the largest tensor in memory. */
  readonly largest: number;
}

const mlx: Parts = {
  weight: ['U32', [VOCABULARY, HIDDEN / 8]],
  scales: ['F16', [VOCABULARY, HIDDEN / 32]],
  biases: ['F16', [VOCABULARY, HIDDEN / 32]],
};

const cases: Readonly<Record<string, Case>> = {
  'bf16 as it is': { dense: 'BF16', options: {}, largest: elements * 2 },
  'f32 as it is': { dense: 'F32', options: {}, largest: elements * 4 },
  'bf16 to f32': { dense: 'BF16', options: { dtype: 'f32' }, largest: elements * 4 },
  'f32 to f16': { dense: 'F32', options: { dtype: 'f16' }, largest: elements * 2 },
  'MLX packed': { dense: 'BF16', packed: mlx, options: { windowBytes: 2 ** 18 }, largest: elements / 2 },
  'MLX to f16': { dense: 'BF16', packed: mlx, options: { dtype: 'f16', windowBytes: 2 ** 18 }, largest: elements * 2 },
  'AWQ packed': {
    dense: 'F16',
    packed: {
      qweight: ['I32', [HIDDEN, VOCABULARY / 8]],
      qzeros: ['I32', [HIDDEN / 128, VOCABULARY / 8]],
      scales: ['F16', [HIDDEN / 128, VOCABULARY]],
    },
    quantization: { method: 'awq' },
    options: { windowBytes: 2 ** 18 },
    largest: elements / 2,
  },
  'GPTQ packed': {
    dense: 'F16',
    packed: {
      qweight: ['I32', [HIDDEN / 8, VOCABULARY]],
      qzeros: ['I32', [HIDDEN / 32, VOCABULARY / 8]],
      scales: ['F16', [HIDDEN / 32, VOCABULARY]],
    },
    quantization: { method: 'gptq', zeroPointBias: 1 },
    options: { windowBytes: 2 ** 18 },
    largest: elements / 2,
  },
};

test.each(Object.entries(cases))(
  '%s: under 1.2 times the largest tensor',
  async (_, { dense, packed, quantization, options, largest }) => {
    const tensors = new Map<string, readonly [SafetensorsDtype, readonly number[]]>();
    for (const [name, shape] of parameterShapes(config)) {
      const path = name.slice(0, name.lastIndexOf('.'));
      if (packed && shape[0] === VOCABULARY)
        for (const [part, spec] of Object.entries(packed)) tensors.set(`${path}.${part}`, spec);
      else tensors.set(name, [dense, shape]);
    }
    const meter = createMeter();
    const { device, uploads } = createSink(meter);
    const { weights, report } = await loadWeights(createSource(tensors, meter), config, {
      ...options,
      device,
      ...(quantization && { quantization }),
    });
    expect(report.dequantised).toEqual([]);
    expect(Object.keys(weights)).toHaveLength(parameterShapes(config).size);
    expect(uploads.filter((bytes) => bytes === largest)).toHaveLength(2);
    expect(Math.max(...uploads)).toBe(largest);
    // At least the largest, or nothing was measured.
    expect(meter.peak()).toBeGreaterThanOrEqual(largest);
    expect(meter.peak()).toBeLessThan(1.2 * largest);
  },
);
