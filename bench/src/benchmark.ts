/** What a benchmark is made of. */
import type { SubjectSpec } from './process/subject.ts';

export interface Effort {
  readonly quick: boolean;
}

export interface Benchmark {
  /** One line for people. */
  readonly summary: string;
  readonly rounds: (effort: Effort) => number;
  /** The baseline first. */
  readonly subjects: (effort: Effort) => readonly SubjectSpec[];
  /** How a metric is shown: its unit, and a figure more telling than the time, if there is one. */
  readonly show: (metric: string, median: number) => string;
}

/** The module in `subjects/` of that name. */
export const moduleOf = (name: string): URL => new URL(`subjects/${name}.ts`, import.meta.url);

export const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
export const milliseconds = (value: number): string => `${figure(value)} ms`;

/** One round to show that it runs, several to say how fast. */
export const roundsOf =
  (count: number) =>
  ({ quick }: Effort): number =>
    quick ? 1 : count;
