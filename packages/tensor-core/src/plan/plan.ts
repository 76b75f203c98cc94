/**
 * A plan: the steps that compute some tensors from others, for one device, with every lifetime and every byte known before
 * it runs.
 *
 *   graph ── lower ──▶ program ── recognise, schedule, fuse ──▶ program ── storage, places ──▶ plan
 *
 * Values are numbered. `places` says where the bytes of each lie: in an input (held by a handle), in a new root, or in the
 * arena that intermediates share. Nothing in a plan depends on tensor contents, so it is replayed with other inputs of the
 * same specs.
 */
import type { Device } from '../device.js';
import { ShapeError } from '../errors.js';
import { fuseProgram } from '../fuse/fuse.js';
import { formatSpec } from '../ops/operands.js';
import { sizeOf } from '../shape.js';
import type { Tensor } from '../tensor.js';
import type { ArenaLayout } from './arena.js';
import { explainPlan } from './explain.js';
import { type Donation, pairDonations } from './donate.js';
import { type LoweredProgram, type PlanGuard, type Shard, lowerGraph } from './lower.js';
import { type Place, placeValues } from './places.js';
import { type Program } from './program.js';
import { recognise } from './recognise/recognise.js';
import { schedule } from './schedule.js';
import { type Storage, byteLengthOf, isMoveless, lifetimesOf, storageOf } from './storage.js';

/** Which passes of the plan compiler run. All do; switching one off finds out whether it is at fault. */
export interface PlanPasses {
  /** Common subexpressions, constants, identities. */
  readonly simplify?: boolean;
  /** Patterns of primitives that are a fused op of the device. */
  readonly recognise?: boolean;
  /** Reorder steps for a lower peak. */
  readonly schedule?: boolean;
  /** Elementwise chains and reductions as one step. */
  readonly fuse?: boolean;
  /** Reshapes and row slices without bytes of their own, outputs written in place. */
  readonly share?: boolean;
}

/** Every pass off: each step is one application of one op, each value has bytes of its own. */
export const noPasses: Required<PlanPasses> = {
  simplify: false,
  recognise: false,
  schedule: false,
  fuse: false,
  share: false,
};

export interface Plan extends Program {
  readonly donations: readonly Donation[];
  /** Values that are shards of an input that is too large for one binding. */
  readonly shards: readonly Shard[];
  /** Whose bytes each value is. */
  readonly storage: readonly Storage[];
  /** Where the bytes of each value lie during a run; undefined for values that no step touches. */
  readonly places: readonly (Place | undefined)[];
  /** Positions of outputs that are copied to their root when the last step has run: new roots first, then donors. */
  readonly copies: readonly number[];
  /** Guards that look at inputs of the plan only: checked before the run by devices that overwrite donors. */
  readonly guards: readonly PlanGuard[];
  readonly arena: ArenaLayout;
  /** For each step the owners whose bytes nothing reads afterwards. */
  readonly lastUses: readonly (readonly number[])[];
  readonly inputBytes: number;
  /** Bytes of new roots: outputs that take over no donor. */
  readonly outputBytes: number;
  /** Inputs, new roots and arena together: what a run needs, known before it. A device may add scratch of its own. */
  readonly peakBytes: number;
  /** The steps with their sizes and work, the peak and who causes it, for a person. */
  explain(): string;
}

export interface PlanRequest {
  readonly outputs: readonly Tensor[];
  /** Leaves in the order the executable will receive them: placeholders and materialised tensors. */
  readonly inputs: readonly Tensor[];
  /** Inputs whose buffers outputs of the same spec may take over. */
  readonly donated?: ReadonlySet<Tensor>;
  readonly device: Pick<Device, 'supports' | 'name' | 'precision' | 'limits' | 'canOverwrite' | 'passes'>;
  /** The device's own when left out. */
  readonly passes?: PlanPasses;
}

export function buildPlan({
  outputs,
  inputs,
  donated = new Set(),
  device,
  passes = device.passes ?? {},
}: PlanRequest): Plan {
  const lowered = lowerGraph({ outputs, inputs, device, simplifies: passes.simplify ?? true });
  const program = optimise(lowered, device, passes);
  checkSizes(program, lowered, device);
  const shares = passes.share ?? true;
  const storage = shares
    ? storageOf(program, device.limits?.viewAlignment)
    : program.values.map((_, owner) => ({ owner, byteOffset: 0 }));
  const steps = shares ? program.steps.filter((step) => !isMoveless(step, storage)) : program.steps;
  const own = { ...program, steps };
  const donations = pairDonations(own, storage, (i) => donated.has(inputs[i]!));
  const placement = placeValues({
    program: own,
    storage,
    shards: lowered.shards,
    guards: lowered.guards,
    donations,
    device: shares ? device : {},
  });
  const taken = new Set(donations.map(({ output }) => output));
  const bytes = (list: readonly Tensor[]): number => list.reduce((sum, tensor) => sum + byteLengthOf(tensor), 0);
  const inputBytes = bytes(inputs);
  const outputBytes = bytes(outputs.filter((_, i) => !taken.has(i)));
  const { dies } = lifetimesOf(own, storage);
  const lastUses: number[][] = steps.map(() => []);
  dies.forEach((step, value) => lastUses[step]?.push(value));
  return {
    ...own,
    ...placement,
    donations,
    shards: lowered.shards,
    storage,
    lastUses,
    inputBytes,
    outputBytes,
    peakBytes: inputBytes + outputBytes + placement.arena.byteLength,
    explain: explainThis,
  };
}

/** Not a closure of `buildPlan`: plans are cached, and one would keep the tensors that its first run was given. */
function explainThis(this: Plan): string {
  return explainPlan(this);
}

function optimise(lowered: LoweredProgram, device: PlanRequest['device'], passes: PlanPasses): Program {
  const recognised = (passes.recognise ?? true) ? recognise(lowered, device) : lowered;
  const ordered = (passes.schedule ?? true) ? schedule(recognised, recognised.created) : recognised;
  return (passes.fuse ?? true) ? fuseProgram(ordered, device) : ordered;
}

/** Index arithmetic in kernels is 32-bit, and a binding has a size: both are checked before anything runs. */
function checkSizes(
  { values, steps }: Program,
  { shards }: LoweredProgram,
  { name, limits }: PlanRequest['device'],
): void {
  const whole = new Set(shards.map(({ input }) => input));
  const check = (value: number, by: string): void => {
    const spec = values[value]!;
    const described = formatSpec(spec);
    if (sizeOf(spec.shape) > 0x7fffffff)
      throw new ShapeError(`${described}, ${by}, has more than 2^31 - 1 elements: split it along an axis`);
    if (limits?.bindingBytes !== undefined && byteLengthOf(spec) > limits.bindingBytes && !whole.has(value))
      throw new ShapeError(
        `${described}, ${by}, takes ${byteLengthOf(spec)} bytes, one binding of ${name} holds ${limits.bindingBytes}: compute it in parts (linearCrossEntropy does so for a head and its loss)`,
      );
  };
  for (const { op, outputs } of steps) for (const value of outputs) check(value, `a result of ${op.name}`);
}
