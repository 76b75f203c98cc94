/**
 * The tensors of a checkpoint by the modules they belong to, under the names of the module tree.
 *
 * `X.qweight`, `X.scales` and the like are parts of one matrix `X.weight`; what a name's last part means is for the formats.
 */
import type { TensorInfo, TensorSource } from '@mindseye/tensor-core';
import type { QuantizationConfig } from '../config/quantization-config.js';
import type { TensorShapes } from '../config/types.js';
import { InvalidInputError, quoteValue } from '../errors.js';
import { type NameLayout, canonicalName, nameLayout } from '../model/parameters.js';
import { kernelShape } from './formats/dense.js';
import type { PackedFormat, PartInfos, PartNames } from './formats/format.js';
import { packedFormats } from './formats/index.js';

export interface StoredModule {
  /** Path in the module tree, such as `model.language_model.norm`. */
  readonly path: string;
  readonly names: PartNames;
  readonly infos: PartInfos;
}

/** Path and last part of a tensor name. */
export function splitName(name: string): readonly [path: string, part: string] {
  const dot = name.lastIndexOf('.');
  return [name.slice(0, Math.max(0, dot)), name.slice(dot + 1)];
}

/**
 * All modules, by path.
 * @throws InvalidInputError when two tensors have the same name in the module tree
 */
export function storedModules(source: TensorSource, location: string): ReadonlyMap<string, StoredModule> {
  const modules = new Map<string, { path: string; names: Map<string, string>; infos: Map<string, TensorInfo> }>();
  for (const stored of source.names()) {
    const name = canonicalName(stored);
    const [path, part] = splitName(name);
    const module = modules.get(path) ?? { path, names: new Map(), infos: new Map() };
    modules.set(path, module);
    const before = module.names.get(part);
    if (before !== undefined)
      throw new InvalidInputError(
        `${location}: both ${quoteValue(before)} and ${quoteValue(stored)} hold the tensor ${name}; remove one of them`,
      );
    module.names.set(part, stored);
    module.infos.set(part, source.info(stored));
  }
  return modules;
}

/** The format that a module's matrix is packed in; undefined for a dense one. */
export const packedFormatOf = (
  infos: PartInfos,
  quantization: QuantizationConfig | undefined,
): PackedFormat | undefined => packedFormats.find(({ recognises }) => recognises(infos, quantization));

/**
 * The shapes that the headers of a checkpoint give the model's tensors, packed matrices as the matrices they stand for.
 * Left out is what headers alone do not say. Reads no data.
 *
 * @param quantization from `resolveQuantizationConfig`; without it packed matrices are left out
 * @throws InvalidInputError when two tensors have the same name in the module tree
 */
export function shapesOf(
  source: TensorSource,
  quantization?: QuantizationConfig,
  location: string = 'the checkpoint',
): TensorShapes {
  const shapes = new Map<string, readonly number[]>();
  for (const { path, names, infos } of storedModules(source, location).values()) {
    const format = packedFormatOf(infos, quantization);
    for (const [part, { shape }] of infos) {
      const layout: NameLayout | undefined = nameLayout(names.get(part)!);
      if (part !== 'weight' || !format) shapes.set(path === '' ? part : `${path}.${part}`, squareKernel(shape, layout));
    }
    const packed = format?.shape(infos, quantization, path);
    if (packed) shapes.set(`${path}.weight`, packed);
  }
  return shapes;
}

/** Patches are square, which tells the two orders of a kernel's axes apart. */
function squareKernel(shape: readonly number[], layout: NameLayout | undefined): readonly number[] {
  const moved = kernelShape(shape, layout);
  return moved && moved[3] === moved[4] ? moved : shape;
}
