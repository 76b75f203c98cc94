/**
 * Where the values of a plan lie on the GPU: its places, with slabs in the place of the arena.
 *
 * `protectsDonors` is for runs that may be rejected because of what a kernel found in an operand (the `checked` profile): such
 * a run has computed everything by then. So nothing is written over a donor: outputs that would be lie in new roots, and
 * the donors are released when the run is known to be good.
 */
import type { Donation, Place, Plan, TensorSpec } from '@mindseye/tensor-core';
import { gpuBytesOf } from '../element.js';
import { type SlabLayout, layOutSlabs } from './slabs.js';

/** The first byte of a value. */
export type Location =
  | { readonly kind: 'input'; readonly position: number; readonly shard: number; readonly offset: number }
  /** In the root of output `position`. */
  | { readonly kind: 'output'; readonly position: number; readonly offset: number }
  | { readonly kind: 'slab'; readonly slab: number; readonly offset: number };

/** What becomes of one output of the plan. */
export interface OutputRoot {
  /** Position of the donated input whose buffer the root is; a new buffer when undefined. */
  readonly donor: number | undefined;
  /** Whether its bytes have to be copied there after the last step. */
  readonly isCopied: boolean;
}

export interface PlanLocations {
  /** For every value that a step touches, or that comes out. */
  readonly locations: readonly (Location | undefined)[];
  readonly slabBytes: readonly number[];
  readonly roots: readonly OutputRoot[];
  /** Bytes of new roots that stand in for donors while those are kept. */
  readonly standInBytes: number;
}

export interface LocationOptions {
  readonly protectsDonors: boolean;
  readonly largestSlab: number;
}

export function locate(plan: Plan, { protectsDonors, largestSlab }: LocationOptions): PlanLocations {
  const places = protectsDonors ? keepDonors(plan) : plan.places;
  const owns = (value: number): boolean => plan.storage[value]!.owner === value;
  const { ranges, slabBytes } = layOutSlabs({
    plan,
    isIntermediate: (value) => owns(value) && places[value]?.kind === 'arena',
    liesOn: (output, owner) =>
      liesOn(places[output], places[owner]) && isAsLong(plan.values[output]!, plan.values[owner]!),
    largestSlab,
  });
  const locations = plan.values.map((_, value) => locationOf(plan, places, ranges, value));
  const donorOf = new Map(plan.donations.map(({ input, output }) => [output, input]));
  const copied = new Set(plan.copies);
  const roots = plan.outputs.map((value, position): OutputRoot => {
    const location = locations[value]!;
    const isThere = location.kind === 'output' && location.position === position;
    const donor = donorOf.get(position);
    const keepsDonor = donor !== undefined && location.kind === 'input' && location.position === donor;
    return {
      donor: protectsDonors && !keepsDonor ? undefined : donor,
      isCopied: copied.has(position) && !isThere,
    };
  });
  const standIns = plan.donations.filter(({ output }) => roots[output]!.donor === undefined);
  return { locations, slabBytes, roots, standInBytes: bytesOf(plan, standIns) };
}

const bytesOf = ({ values, outputs }: Plan, donations: readonly Donation[]): number =>
  donations.reduce((bytes, { output }) => bytes + gpuBytesOf(values[outputs[output]!]!), 0);

/** Values without elements lie anywhere, also on others. */
const isAsLong = (output: TensorSpec, owner: TensorSpec): boolean =>
  gpuBytesOf(output) === gpuBytesOf(owner) && gpuBytesOf(output) > 0;

/** Whether the core gave two owners one range of the arena, which it does only to write one over the other. */
const liesOn = (output: Place | undefined, input: Place | undefined): boolean =>
  output?.kind === 'arena' && input?.kind === 'arena' && output.byteOffset === input.byteOffset;

/** The places of a plan, those over donors and copies to donors moved to new roots. */
function keepDonors({ values, inputs, outputs, shards, storage, places, donations }: Plan): (Place | undefined)[] {
  const given = new Set([...inputs, ...shards.map(({ value }) => value)]);
  const moved = new Map<number, number>();
  for (const { output } of donations) {
    const { owner, byteOffset } = storage[outputs[output]!]!;
    const isWhole = byteOffset === 0 && gpuBytesOf(values[owner]!) === gpuBytesOf(values[outputs[output]!]!);
    if (isWhole && !given.has(owner) && places[owner]?.kind !== 'output' && !moved.has(owner)) moved.set(owner, output);
  }
  return places.map((place, value) => {
    const position = moved.get(storage[value]!.owner);
    return position === undefined || !place
      ? place
      : { kind: 'output', position, byteOffset: storage[value]!.byteOffset };
  });
}

function locationOf(
  { storage }: Plan,
  places: readonly (Place | undefined)[],
  ranges: SlabLayout['ranges'],
  value: number,
): Location | undefined {
  const place = places[value];
  if (!place) return undefined;
  switch (place.kind) {
    case 'input':
      return { kind: 'input', position: place.position, shard: place.shard ?? 0, offset: place.byteOffset };
    case 'output':
      return { kind: 'output', position: place.position, offset: place.byteOffset };
    case 'arena': {
      const { owner, byteOffset } = storage[value]!;
      const { slab, offset } = ranges[owner]!;
      return { kind: 'slab', slab, offset: offset + byteOffset };
    }
  }
}
