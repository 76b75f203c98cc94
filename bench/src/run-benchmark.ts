/** One benchmark from its subjects to a result that can be kept. */
import type { Benchmark, Effort } from './benchmark.ts';
import { goals } from './goals.ts';
import { type Verdict, describeVerdicts, judge } from './judge.ts';
import { type Machine, describeMachine, loadAverage, packageVersions } from './machine.ts';
import type { MemoryReport } from './process/memory.ts';
import { type RoundsResult, type SubjectResult, measureRounds } from './rounds.ts';
import { formatTable } from './table.ts';

/** All but the single samples. */
export interface BenchmarkResult extends Omit<RoundsResult, 'samples'> {
  readonly name: string;
  readonly summary: string;
  readonly quick: boolean;
  readonly date: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  /** Before and after, over 1, 5 and 15 minutes. */
  readonly loadAverage: { readonly before: readonly number[]; readonly after: readonly number[] };
  readonly goals: readonly Verdict[];
}

export async function runBenchmark(
  name: string,
  benchmark: Benchmark,
  effort: Effort,
  onProgress: (line: string) => void,
): Promise<BenchmarkResult> {
  const before = loadAverage();
  const { samples, ...measured } = await measureRounds({
    subjects: benchmark.subjects(effort),
    rounds: benchmark.rounds(effort),
    onProgress: (line) => onProgress(`${name}: ${line}`),
  });
  return {
    name,
    summary: benchmark.summary,
    quick: effort.quick,
    date: new Date().toISOString(),
    machine: describeMachine(),
    versions: packageVersions(),
    loadAverage: { before, after: loadAverage() },
    ...measured,
    goals: (goals[name] ?? []).map((goal) => judge(goal, samples)),
  };
}

/** A line of the table per subject and metric. */
function tableRows({ show }: Benchmark, { name, metrics }: SubjectResult): string[][] {
  return Object.entries(metrics).map(([metric, { median, timesBaseline }]) => [
    metric,
    name,
    show(metric, median),
    timesBaseline === null ? '' : `${timesBaseline.toFixed(2)}×`,
  ]);
}

/** A result for a person. */
export function describeResult(benchmark: Benchmark, result: BenchmarkResult): string {
  const rows = result.subjects
    .flatMap((subject) => tableRows(benchmark, subject))
    // One metric after another, each with all its subjects.
    .toSorted(([a], [b]) => metricOrder(result, a!) - metricOrder(result, b!));
  const failures = Object.values(result.failures).map((message) => `not measured: ${message}`);
  const memory = result.subjects.flatMap(describeMemory);
  const load = `load average ${result.loadAverage.before[0]} before, ${result.loadAverage.after[0]} after, on ${result.machine.cores} cores`;
  return [
    `${result.name}: ${result.summary}`,
    `medians of ${result.rounds} rounds; ${load}`,
    formatTable(['metric', 'engine', 'median', `time / ${result.baseline}`], rows),
    ...describeVerdicts(result.goals),
    ...memory,
    ...failures,
  ].join('\n');
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;
const isMemory = (value: unknown): value is MemoryReport => isObject(value) && 'peakRssMiB' in value;

/** What a subject held, and how that changed over many steps. */
function describeMemory({ name, details }: SubjectResult): string[] {
  const { memory, growth } = details;
  const lines: string[] = [];
  if (isMemory(memory)) {
    const { rootMiB, workingMiB, peakMiB, rssMiB, peakRssMiB } = memory;
    lines.push(
      `${name}: device ${rootMiB} MiB roots, ${workingMiB} working, ${peakMiB} peak; process ${rssMiB} MiB, ${peakRssMiB} peak`,
    );
  }
  if (isObject(growth)) {
    const { steps, before, after } = growth;
    if (typeof steps === 'number' && isMemory(before) && isMemory(after)) {
      const change = (key: keyof MemoryReport): string => (after[key] - before[key]).toFixed(2);
      lines.push(
        `${name}: over ${steps} steps, in MiB, device roots ${change('rootMiB')}, working ${change('workingMiB')}, objects ${change('heapMiB')}, arrays ${change('arrayMiB')}, process ${change('rssMiB')}`,
      );
    }
  }
  return lines;
}

const metricOrder = ({ subjects }: BenchmarkResult, metric: string): number =>
  Object.keys(subjects[0]!.metrics).indexOf(metric);
