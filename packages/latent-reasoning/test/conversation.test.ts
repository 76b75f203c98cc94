import { ignoredLabel } from '@mindseye/tensor-core';
import { expect, test } from 'vitest';
import { conversationSequence, role } from '../src/index.js';

const [start, end, user, assistant, newline, image] = [1, 2, 10, 11, 12, 99];
const tokens = { imageTokenId: image, endOfTurnId: end, assistantHeader: [start, assistant, newline] };

test('every assistant turn is labelled through its end-of-turn marker, and nothing else is', () => {
  const question = [start, user, newline, image, image, 50, end, newline];
  const first = [start, assistant, newline, 60, 61, end, newline];
  const second = [start, user, newline, 51, end, newline, start, assistant, newline, 62, end];
  const { inputIds, labels, roles, grids } = conversationSequence(
    [...question, ...first, ...second],
    [[1, 2, 4]],
    tokens,
  );

  expect([...inputIds]).toEqual([...question, ...first, ...second]);
  const labelled = [...labels.entries()].filter(([, label]) => label !== ignoredLabel);
  expect(labelled.map(([, label]) => label)).toEqual([60, 61, end, 62, end]);
  for (const [at, label] of labelled) expect(inputIds[at]).toBe(label);
  expect([...roles].map((value, at) => (value === role.answer ? at : -1)).filter((at) => at >= 0)).toEqual(
    labelled.map(([at]) => at),
  );
  expect([roles[3], roles[4], roles[5]]).toEqual([role.image, role.image, role.prompt]);
  expect(grids).toEqual([[1, 2, 4]]);
});

test('an assistant turn that was cut off has no label', () => {
  const { labels } = conversationSequence([start, assistant, newline, 60], [], tokens);
  expect([...labels]).toEqual([ignoredLabel, ignoredLabel, ignoredLabel, ignoredLabel]);
});

test('what the template writes after a turn is labelled with it where it is there', () => {
  const turn = [start, assistant, newline, 60, end];
  const labelsOf = (ids: readonly number[]): number[] =>
    [...conversationSequence(ids, [], { ...tokens, afterTurn: [newline] }).labels].filter(
      (label) => label !== ignoredLabel,
    );
  expect(labelsOf([...turn, newline, ...turn])).toEqual([60, end, newline, 60, end]);
  expect(labelsOf([...turn, 50])).toEqual([60, end]);
});
