/** What a benchmark is asked to reach, and whether it did: a figure, or the ratio of two, as the median over the rounds. */
import { type SamplesBySubject, median } from './rounds.ts';
import { formatTable } from './table.ts';

/** A metric of a subject. */
export interface Figure {
  readonly subject: string;
  readonly metric: string;
}

/** `value`, or `value / per` taken inside each round, is at least or at most the bound. */
export interface Goal {
  readonly name: string;
  readonly value: Figure;
  readonly per?: Figure;
  readonly bound: Bound;
}

export type Bound = { readonly atLeast: number } | { readonly atMost: number };

/** A type, not an interface, so that it is plain JSON to the compiler too. */
export type Verdict = {
  readonly goal: string;
  readonly bound: string;
  /** Null where a figure was not measured. */
  readonly measured: number | null;
  readonly verdict: 'met' | 'missed' | 'not measured';
};

const isMet = (bound: Bound, measured: number): boolean =>
  'atLeast' in bound ? measured >= bound.atLeast : measured <= bound.atMost;

const describeBound = (bound: Bound): string => ('atLeast' in bound ? `≥ ${bound.atLeast}` : `≤ ${bound.atMost}`);

export function judge({ name, value, per, bound }: Goal, samples: SamplesBySubject): Verdict {
  const valuesOf = ({ subject, metric }: Figure): (number | undefined)[] =>
    (samples[subject] ?? []).map((sample) => sample[metric]);
  const divisors = per && valuesOf(per);
  const ratios = valuesOf(value).map((top, round) => (top ?? NaN) / (divisors ? (divisors[round] ?? NaN) : 1));
  const measured = ratios.length === 0 || ratios.some(Number.isNaN) ? null : median(ratios);
  const verdict = measured === null ? 'not measured' : isMet(bound, measured) ? 'met' : 'missed';
  return { goal: name, bound: describeBound(bound), measured, verdict };
}

/** A table for a person; those that were not measured at the end, in one line. */
export function describeVerdicts(verdicts: readonly Verdict[]): string[] {
  const measured = verdicts.filter((each) => each.measured !== null);
  const rest = verdicts.length - measured.length;
  const rows = measured.map(({ goal, bound, measured: value, verdict }) => [
    goal,
    value!.toPrecision(3),
    bound,
    verdict,
  ]);
  return [
    ...(rows.length > 0 ? ['', formatTable(['goal', 'measured', 'bound', 'verdict'], rows)] : []),
    ...(rest > 0 ? [`${rest} goals were not measured: an engine they compare was not there`] : []),
  ];
}
