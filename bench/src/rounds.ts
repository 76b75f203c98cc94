/**
 * Interleaved rounds: every subject is sampled once per round, so that a busy moment of the machine hits all of them, and
 * ratios are taken inside a round. Medians over the rounds; the first, which warms up, does not count.
 */
import { RemoteSubject, SubjectError } from './process/remote-subject.ts';
import type { Json, Sample, SubjectSpec } from './process/subject.ts';

export interface MetricResult {
  readonly median: number;
  readonly best: number;
  /** Median over the rounds of this subject's time to the baseline's: 2 is half as fast. Null where the baseline has none. */
  readonly timesBaseline: number | null;
}

export interface SubjectResult {
  readonly name: string;
  readonly metrics: Readonly<Record<string, MetricResult>>;
  readonly details: Readonly<Record<string, Json>>;
}

export interface RoundsResult {
  readonly rounds: number;
  /** The first subject that ran. */
  readonly baseline: string;
  readonly subjects: readonly SubjectResult[];
  /** Why a subject has no result. */
  readonly failures: Readonly<Record<string, string>>;
  /** What the medians are taken over: the samples of each subject, round by round. */
  readonly samples: SamplesBySubject;
}

export type SamplesBySubject = Readonly<Record<string, readonly Sample[]>>;

export interface RoundsOptions {
  readonly subjects: readonly SubjectSpec[];
  readonly rounds: number;
  readonly onProgress: (line: string) => void;
}

interface Running {
  readonly subject: RemoteSubject;
  readonly samples: Sample[];
}

export async function measureRounds({ subjects, rounds, onProgress }: RoundsOptions): Promise<RoundsResult> {
  const failures: Record<string, string> = {};
  let running: Running[] = [];
  const attempt = async <T>(name: string, work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SubjectError)) throw error;
      failures[name] = error.message;
      running = running.filter(({ subject }) => subject.name !== name);
      onProgress(error.message);
      return undefined;
    }
  };
  try {
    for (const spec of subjects) {
      onProgress(`opening ${spec.name}`);
      const subject = await attempt(spec.name, () => RemoteSubject.open(spec));
      if (subject) running.push({ subject, samples: [] });
    }
    for (let round = 0; round <= rounds; round++) {
      onProgress(round === 0 ? 'warming up' : `round ${round} of ${rounds}`);
      for (const { subject, samples } of running) {
        const sample = await attempt(subject.name, () => subject.sample());
        if (sample && round > 0) samples.push(sample);
      }
    }
    const results: SubjectResult[] = [];
    for (const { subject, samples } of running) {
      onProgress(`details of ${subject.name}`);
      const details = (await attempt(subject.name, () => subject.details())) ?? {};
      results.push({ name: subject.name, metrics: metricsOf(samples, running[0]!.samples), details });
    }
    const samples = Object.fromEntries(running.map((each) => [each.subject.name, each.samples]));
    return { rounds, baseline: running[0]?.subject.name ?? 'none', subjects: results, failures, samples };
  } finally {
    for (const { subject } of running) subject.close();
  }
}

function metricsOf(samples: readonly Sample[], baseline: readonly Sample[]): Record<string, MetricResult> {
  const names = Object.keys(samples[0] ?? {});
  return Object.fromEntries(
    names.map((name) => {
      const values = samples.map((sample) => sample[name]!);
      const ratios = values.map((value, round) => value / (baseline[round]?.[name] ?? NaN));
      const timesBaseline = ratios.some(Number.isNaN) ? null : median(ratios);
      return [name, { median: median(values), best: Math.min(...values), timesBaseline }];
    }),
  );
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
