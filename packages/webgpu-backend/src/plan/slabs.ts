/**
 * Where intermediate values live: a slab (one GPUBuffer) and an offset for each owner of bytes.
 *
 * WebGPU refuses a dispatch that binds one buffer both read-only and read-write, even on ranges that do not touch. So owners
 * are coloured: no two share a slab of which a step reads one and writes the other. (An owner may be written by several
 * steps, each a piece of it.) Most plans need three slabs; nothing limits their number.
 *
 * Where the plan writes an output over a dying operand, both are one range.
 */
import { type Plan, lifetimesOf } from '@mindseye/tensor-core';
import { gpuBytesOf } from '../element.js';
import { pack } from './packing.js';

/** minStorageBufferOffsetAlignment of every device: views and slab ranges start at multiples of it. */
export const bindingAlignment = 256;

/** A range of a slab. */
export interface SlabRange {
  readonly slab: number;
  readonly offset: number;
}

export interface SlabLayout {
  /** For each value that owns bytes in the arena, where they are. */
  readonly ranges: readonly (SlabRange | undefined)[];
  /** Bytes of each slab, the largest first. */
  readonly slabBytes: readonly number[];
}

export interface SlabRequest {
  readonly plan: Pick<Plan, 'values' | 'inputs' | 'outputs' | 'steps' | 'storage'>;
  /** Whether this owner is to be placed. */
  readonly isIntermediate: (owner: number) => boolean;
  /** Whether the plan writes this output over the bytes of an owner that the step reads last. */
  readonly liesOn: (output: number, owner: number) => boolean;
  /** No slab grows beyond, unless one value alone does. */
  readonly largestSlab: number;
}

/** Owners that share one range, one after the other. */
interface Chain {
  readonly byteLength: number;
  readonly born: number;
  dies: number;
  readonly apart: Set<number>;
}

const align = (bytes: number): number =>
  Math.max(bindingAlignment, Math.ceil(bytes / bindingAlignment) * bindingAlignment);

export function layOutSlabs(request: SlabRequest): SlabLayout {
  const { plan, isIntermediate, liesOn, largestSlab } = request;
  const { values, steps, storage } = plan;
  const { born, dies } = lifetimesOf(plan, storage);
  const chains: Chain[] = [];
  const chainOf = new Map<number, number>();
  const ownersOf = (list: readonly number[]): number[] => [
    ...new Set(list.map((value) => storage[value]!.owner).filter(isIntermediate)),
  ];
  steps.forEach(({ inputs, outputs }, i) => {
    const read = ownersOf(inputs);
    for (const owner of ownersOf(outputs)) {
      if (chainOf.has(owner)) continue;
      const under = read.find((other) => dies[other] === i && liesOn(owner, other));
      const chain =
        under === undefined
          ? chains.push({
              byteLength: align(gpuBytesOf(values[owner]!)),
              born: born[owner]!,
              dies: dies[owner]!,
              apart: new Set(),
            }) - 1
          : chainOf.get(under)!;
      chainOf.set(owner, chain);
      chains[chain]!.dies = dies[owner]!;
    }
    for (const written of ownersOf(outputs)) {
      for (const other of read) {
        const [a, b] = [chainOf.get(written)!, chainOf.get(other)!];
        if (a === b) continue;
        chains[a]!.apart.add(b);
        chains[b]!.apart.add(a);
      }
    }
  });
  const { places, slabBytes } = pack(chains, largestSlab);
  // Plans share slabs by number: in order of size, their large ones lie on each other.
  const order = slabBytes.map((_, slab) => slab).sort((a, b) => slabBytes[b]! - slabBytes[a]!);
  const numbers = new Map(order.map((slab, number) => [slab, number]));
  const ranges = values.map((_, value) => {
    const place = places[chainOf.get(value) ?? -1];
    return place && { slab: numbers.get(place.slab)!, offset: place.offset };
  });
  return { ranges, slabBytes: order.map((slab) => slabBytes[slab]!) };
}
