/** When a goal counts as met, and that every goal names figures that exist. */
import { expect, test } from 'vitest';
import { benchmarks } from '../src/benchmarks.ts';
import { engines } from '../src/engines.ts';
import { goals } from '../src/goals.ts';
import { type Goal, describeVerdicts, judge } from '../src/judge.ts';

const samples = { own: [{ time: 2 }, { time: 4 }, { time: 9 }], other: [{ time: 6 }, { time: 8 }, { time: 9 }] };
const faster = (atLeast: number): Goal => ({
  name: 'own over other',
  value: { subject: 'other', metric: 'time' },
  per: { subject: 'own', metric: 'time' },
  bound: { atLeast },
});

test('a ratio is taken inside each round, then the median', () => {
  // 3, 2 and 1; the ratio of the medians would be 2 as well, that of the means 1.53.
  expect(judge(faster(2), samples)).toEqual({ goal: 'own over other', bound: '≥ 2', measured: 2, verdict: 'met' });
  expect(judge(faster(2.01), samples).verdict).toBe('missed');
});

test('a figure alone, with an upper bound', () => {
  const goal = (atMost: number): Goal => ({
    name: 'own',
    value: { subject: 'own', metric: 'time' },
    bound: { atMost },
  });
  expect(judge(goal(4), samples)).toMatchObject({ measured: 4, verdict: 'met', bound: '≤ 4' });
  expect(judge(goal(3.9), samples).verdict).toBe('missed');
});

test.each([
  { subject: 'absent', metric: 'time' },
  { subject: 'own', metric: 'absent' },
])('$subject, $metric: not measured', (per) => {
  const verdict = judge({ ...faster(1), per }, samples);
  expect(verdict).toMatchObject({ measured: null, verdict: 'not measured' });
  expect(judge({ ...faster(1), value: per }, samples).verdict).toBe('not measured');
  expect(describeVerdicts([verdict])).toEqual(['1 goals were not measured: an engine they compare was not there']);
});

test('goals name benchmarks, subjects of them, and are no two alike', () => {
  for (const [name, list] of Object.entries(goals)) {
    const subjects = benchmarks[name]!.subjects({ quick: false }).map((subject) => subject.name);
    // Engines that this machine lacks are no subjects here.
    const known = new Set([...subjects, ...Object.keys(engines)]);
    for (const { value, per } of list) {
      expect(known, name).toContain(value.subject);
      if (per) expect(known, name).toContain(per.subject);
    }
    expect(new Set(list.map((goal) => goal.name)).size, name).toBe(list.length);
  }
});
