/**
 * Random weights of true shape, made where they are used: codes come from the device's own random words, so that no
 * quantised matrix ever lies on the host. Dense 16-bit matrices are filled on the host, one at a time.
 *
 * Every weight has deviation 1 / √columns, so that activations stay near 1: a code is uniform in 0 … 2^bits − 1, with
 * deviation √((4^bits − 1) / 12), and scale and offset are set from that. What comes back into the residual stream (o_proj,
 * down_proj, the vision tower's proj) is smaller by √(2 · depth). Norms are 1, biases 0.
 */
import { type Qwen2_5_VLConfig, parameterShapes } from '@mindseye/qwen-vl';
import {
  type Device,
  type QuantizationBits,
  type Tensor,
  type Weight,
  evaluate,
  f32ToBf16,
  full,
  isQuantized,
  randomBits,
  tensor,
  upload,
  weightBytes,
} from '@mindseye/tensor-core';

/** How a matrix is stored: dense, or in codes of so many bits with an f16 scale and offset for each group. */
export type MatrixStorage = 'f32' | 'bf16' | QuantizationBits;

/** Storage of the parts of a model. */
export type ScaleStorage = {
  readonly decoder: MatrixStorage;
  /** Embedding and head. */
  readonly table: MatrixStorage;
  readonly vision: MatrixStorage;
};

const GROUP = 64;

export interface RandomModel {
  readonly weights: Readonly<Record<string, Weight>>;
  readonly parameters: number;
  /** Bytes of weights on the device, by part. */
  readonly bytes: Readonly<Record<keyof ScaleStorage | 'vectors', number>>;
}

type Part = keyof ScaleStorage;

function partOf(name: string): Part {
  if (name.startsWith('model.visual.')) return 'vision';
  return name.includes('.layers.') ? 'decoder' : 'table';
}

/** Bytes that the matrices of each part of a model need in some storage, before anything is made. */
export function matrixBytesByPart(config: Qwen2_5_VLConfig, storage: ScaleStorage): Readonly<Record<Part, number>> {
  const bytes = { decoder: 0, table: 0, vision: 0 };
  for (const [name, shape] of parameterShapes(config))
    if (shape.length === 2) {
      const columns = shape[1]!;
      const part = partOf(name);
      const kept = fitting(storage[part], columns);
      const elements = shape[0]! * columns;
      bytes[part] += typeof kept === 'string' ? elements * (kept === 'f32' ? 4 : 2) : elements * (kept / 8 + 4 / GROUP);
    }
  return bytes;
}

export function matrixBytes(config: Qwen2_5_VLConfig, storage: ScaleStorage): number {
  const { decoder, table, vision } = matrixBytesByPart(config, storage);
  return decoder + table + vision;
}

/** Columns that are no multiple of the group stay dense, as in a quantised checkpoint. */
const fitting = (storage: MatrixStorage, columns: number): MatrixStorage =>
  typeof storage === 'number' && columns % GROUP !== 0 ? 'bf16' : storage;

/**
 * All weights of a model, on a device.
 *
 * @throws whatever the device says when no room is left, with the tensor and how far it came.
 */
export async function randomModel(
  config: Qwen2_5_VLConfig,
  storage: ScaleStorage,
  device: Device,
): Promise<RandomModel> {
  const weights: Record<string, Weight> = {};
  const bytes = { decoder: 0, table: 0, vision: 0, vectors: 0 };
  let parameters = 0;
  let stream = 0;
  for (const [name, shape] of parameterShapes(config)) {
    const size = shape.reduce((product, length) => product * length, 1);
    try {
      const weight = await oneWeight(name, shape, config, storage, device, stream++);
      weights[name] = weight;
      bytes[shape.length === 2 ? partOf(name) : 'vectors'] += weightBytes(weight);
    } catch (cause) {
      const made = Object.values(bytes).reduce((sum, part) => sum + part, 0);
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Error(
        `${name} [${shape.join(', ')}] found no room after ${made} bytes of weights; all matrices take ${Math.round(matrixBytes(config, storage))}: ${why}`,
        { cause },
      );
    }
    parameters += size;
  }
  return { weights, parameters, bytes };
}

async function oneWeight(
  name: string,
  shape: readonly number[],
  config: Qwen2_5_VLConfig,
  storage: ScaleStorage,
  device: Device,
  stream: number,
): Promise<Weight> {
  if (shape.length === 1) return evaluate(full(shape, name.endsWith('.bias') ? 0 : 1), { device });
  const columns = shape.slice(1).reduce((product, length) => product * length, 1);
  const depth = name.includes('visual') ? config.visionConfig.depth : config.textConfig.numHiddenLayers;
  const intoResidual = /(o_proj|down_proj|attn\.proj)\.weight$/.test(name);
  const deviation = 1 / Math.sqrt(columns * (intoResidual ? 2 * depth : 1));
  const kept = shape.length === 2 ? fitting(storage[partOf(name)], columns) : 'f32';
  return uploadRandomMatrix(shape, kept, { deviation, stream, device });
}

export interface RandomMatrixOptions {
  readonly deviation: number;
  /** Other streams give other numbers. */
  readonly stream: number;
  readonly device: Device;
}

/** A random weight on a device. A quantised one is a matrix whose columns are a multiple of the group. */
export async function uploadRandomMatrix(
  shape: readonly number[],
  storage: MatrixStorage,
  { deviation, stream, device }: RandomMatrixOptions,
): Promise<Weight> {
  const made =
    typeof storage === 'number'
      ? quantizedWeight(shape[0]!, shape[1]!, storage, deviation, stream)
      : denseWeight(shape, storage, deviation, stream);
  if (isQuantized(made)) await evaluate([made.codes, made.scales, made.offsets!], { device });
  else await upload([made], device);
  return made;
}

function quantizedWeight(
  rows: number,
  columns: number,
  bits: QuantizationBits,
  deviation: number,
  stream: number,
): Weight {
  const seed = tensor(Uint32Array.of(stream, 1));
  const scale = deviation / Math.sqrt((4 ** bits - 1) / 12);
  const grid = [rows, columns / GROUP];
  return {
    codes: randomBits(seed, [rows, (columns * bits) / 32], 0),
    scales: full(grid, scale, 'f16'),
    offsets: full(grid, (-scale * (2 ** bits - 1)) / 2, 'f16'),
    bits,
    groupSize: GROUP,
    columns,
  };
}

/** Numbers drawn before they repeat: a prime, so that rows differ. */
const PERIOD = 65_537;

function denseWeight(shape: readonly number[], dtype: 'f32' | 'bf16', deviation: number, stream: number): Tensor {
  const size = shape.reduce((product, length) => product * length, 1);
  let state = stream + 1;
  const draw = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    // Uniform with the wanted deviation.
    return (state / 2 ** 32 - 0.5) * Math.sqrt(12) * deviation;
  };
  const values = dtype === 'f32' ? new Float32Array(size) : new Uint16Array(size);
  const drawn = Math.min(size, PERIOD);
  for (let i = 0; i < drawn; i++) values[i] = dtype === 'f32' ? draw() : f32ToBf16(draw());
  for (let filled = drawn; filled < size; filled *= 2) values.copyWithin(filled, 0, Math.min(filled, size - filled));
  return tensor(values, shape, { dtype });
}
