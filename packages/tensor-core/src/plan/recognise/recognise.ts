/**
 * Fused ops in graphs that were written in primitives: a user's own softmax becomes the softmax kernel.
 *
 * A match is taken only when the device has the fused op and nothing else reads the values inside it; then the fused step
 * stands in the place of the match's last step. What nobody recognises runs as it was written.
 */
import type { Device } from '../../device.js';
import { specKey } from '../../graph/key.js';
import { type TensorSpec, placeholder } from '../../tensor.js';
import { type LoweredProgram, lowerGraph } from '../lower.js';
import { type PlanStep, withoutDeadSteps } from '../program.js';
import { type Match, type Pattern, matchPattern } from './match.js';
import { type FusedPattern, type Surroundings, fusedPatterns } from './patterns.js';

type Target = Pick<Device, 'supports' | 'name' | 'precision' | 'limits'>;

/** Stands for a number in a pattern; no program contains it by chance. */
const marked = 0.724_838_519_283_746;

export function recognise(program: LoweredProgram, device: Target): LoweredProgram {
  const patterns = new Map<string, readonly Pattern[]>();
  let [current, uses] = [program, usesOf(program)];
  for (const row of fusedPatterns) {
    const next = recogniseOne(current, uses, row, device, patterns);
    if (next !== current) [current, uses] = [next, usesOf(next)];
  }
  return current;
}

/** Who writes and who reads each value. */
interface Uses {
  readonly writers: Map<number, PlanStep>;
  readonly readers: ReadonlyMap<number, ReadonlySet<PlanStep>>;
}

function usesOf({ steps }: LoweredProgram): Uses {
  const writers = new Map<number, PlanStep>();
  const readers = new Map<number, Set<PlanStep>>();
  for (const step of steps) {
    for (const value of step.outputs) writers.set(value, step);
    for (const value of step.inputs) {
      const known = readers.get(value);
      if (known) known.add(step);
      else readers.set(value, new Set([step]));
    }
  }
  return { writers, readers };
}

function recogniseOne(
  program: LoweredProgram,
  { writers, readers }: Uses,
  row: FusedPattern,
  device: Target,
  patterns: Map<string, readonly Pattern[]>,
): LoweredProgram {
  if (!program.steps.some(({ op }) => op.name === row.root)) return program;
  const values = [...program.values];
  const steps = [...program.steps];
  const outputs = new Set(program.outputs);
  const around: Surroundings = { values, writerOf: (value) => writers.get(value) };

  /** Nothing outside the match reads a value inside it, and it lies on one side of every checkpoint. */
  const isClosed = ({ covered }: Match, root: PlanStep): boolean =>
    [...covered].every(
      (step) =>
        step.recomputed === root.recomputed &&
        (step === root ||
          step.inputs.length === 0 ||
          step.outputs.every(
            (value) => !outputs.has(value) && [...(readers.get(value) ?? [])].every((reader) => covered.has(reader)),
          )),
    );

  let changed = false;
  steps.forEach((root, i) => {
    // Every fused op computes in f32.
    if (root.op.name !== row.root || values[root.outputs[0]!]!.dtype !== 'f32') return;
    for (const specs of row.operands(root, around)) {
      for (const pattern of patternsOf(row, specs, device, patterns)) {
        const match = matchPattern(pattern, root.outputs[0]!, around);
        if (!match || !isClosed(match, root)) continue;
        const attributes = row.attributes(match.captured ?? 0);
        if (!device.supports(row.op, specs, attributes)) continue;
        const results = row.op.infer(specs, attributes);
        const extra = results.slice(1).map((spec) => values.push(spec) - 1);
        const step = { ...root, op: row.op, inputs: match.operands, outputs: [root.outputs[0]!, ...extra], attributes };
        steps[i] = step;
        writers.set(root.outputs[0]!, step);
        changed = true;
        return;
      }
    }
  });
  if (!changed) return program;
  const created = new Map(steps.map((step, i) => [step, program.created[i]!]));
  const alive = withoutDeadSteps({ ...program, values, steps });
  return { ...program, ...alive, created: alive.steps.map((step) => created.get(step)!) };
}

/** The spellings of a row over operands of these specs, lowered as the program was. */
function patternsOf(
  row: FusedPattern,
  specs: readonly TensorSpec[],
  device: Target,
  known: Map<string, readonly Pattern[]>,
): readonly Pattern[] {
  const key = `${row.op.name}(${specs.map(specKey).join()})`;
  let patterns = known.get(key);
  if (!patterns) {
    patterns = row.spellings.map((spell) => {
      const inputs = specs.map(placeholder);
      const [result] = spell(inputs, row.attributes(marked));
      return { ...lowerGraph({ outputs: [result!], inputs, device }), marked };
    });
    known.set(key, patterns);
  }
  return patterns;
}
