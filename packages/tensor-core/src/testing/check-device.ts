/** Any engine against the reference loops, op by op, on the cases of `opCases`. */
import fc from 'fast-check';
import type { Device } from '../device.js';
import { evaluate } from '../plan/evaluate.js';
import { apply } from '../op.js';
import { opTable } from '../ops/table.js';
import { type CaseOptions, type OpCase, type OpInvocation } from './op-cases/case.js';
import { opCases } from './op-cases/index.js';
import { readBack, runReference, toTensor } from './host.js';
import { type Tolerance, assertClose } from './tolerance.js';

export interface DeviceCheckOptions {
  /** Names from `opTable`; all of them when left out. */
  readonly ops?: readonly string[];
  /** Applications of each op and kind of values. */
  readonly numRuns?: number;
  /** Of fast-check; a fresh one when left out, printed when a check fails. */
  readonly seed?: number;
  readonly values?: readonly CaseOptions['values'][];
  /** Largest size of one axis; take more than a tile of the engine's kernels. */
  readonly maxLength?: number;
  /** Per op, where the engine may differ more (or less) than the case says. */
  readonly tolerances?: Readonly<Record<string, Tolerance>>;
  /** Also run what the device refuses, through its decomposition. */
  readonly decomposed?: boolean;
}

export interface DeviceCheckReport {
  /** Applications compared, by op. */
  readonly compared: Readonly<Record<string, number>>;
  /** Applications that the device has no kernel for, by op. */
  readonly refused: Readonly<Record<string, number>>;
}

/**
 * Runs random applications of each op on `device` and on the reference loops in f32, and compares all outputs.
 *
 * @returns what was compared and what the device refused, for the caller to judge.
 * @throws Error of fast-check with the seed, the smallest failing application and a `MismatchError`.
 */
export async function checkDeviceAgainstReference(
  device: Device,
  options: DeviceCheckOptions = {},
): Promise<DeviceCheckReport> {
  const {
    ops = [...opTable.keys()],
    numRuns = 50,
    seed,
    values = ['ordinary', 'extreme'],
    maxLength = 6,
    tolerances = {},
    decomposed = false,
  } = options;
  const compared: Record<string, number> = {};
  const refused: Record<string, number> = {};
  for (const name of ops) {
    const op = opTable.get(name);
    const opCase: OpCase | undefined = opCases[name];
    if (!op || !opCase) throw new RangeError(`${name} is no op with a case: take names from opTable`);
    const check = async (given: OpInvocation): Promise<void> => {
      const supported = device.supports(op, given.inputs, given.attributes);
      const count = supported || decomposed ? compared : refused;
      count[name] = (count[name] ?? 0) + 1;
      if (!supported && !decomposed) return;
      const tolerance = tolerances[name] ?? opCase.tolerance;
      await compareWithReference(device, name, given, tolerance);
    };
    for (const kind of values) {
      const property = fc.asyncProperty(opCase.invocations({ values: kind, maxLength }), check);
      await fc.assert(property, { numRuns, ...(seed !== undefined && { seed }) });
    }
  }
  return { compared, refused };
}

/** Throws unless one application gives on `device` what the op's reference loops give. */
export async function compareWithReference(
  device: Device,
  name: string,
  { inputs, attributes }: OpInvocation,
  tolerance?: Tolerance,
): Promise<void> {
  const op = opTable.get(name)!;
  const expected = runReference(op, inputs, attributes);
  const outputs = apply(op, inputs.map(toTensor), attributes);
  await evaluate(outputs, { device });
  for (const [i, output] of outputs.entries())
    assertClose(await readBack(output), expected[i]!, `output ${i} of ${name} on ${device.name}`, tolerance);
}
