/**
 * What a run leaves behind: a header that says what was run, and one record per sample. Plain JSON, no times, so that a run that
 * was stopped and resumed leaves the same records as one that was not.
 */
import { sha256Hex } from '../random/hash.js';
import { SPLITS } from '../scene/scene.js';
import type { Split } from '../scene/scene.js';
import type { Sample, TaskDefinition } from '../tasks/task.js';
import { CONDITIONS } from './solver.js';
import type { Answer, Condition, Solver } from './solver.js';

/** What all records of one run have in common. */
export interface RunHeader {
  readonly kind: 'header';
  readonly schema: 1;
  readonly task: string;
  readonly taskVersion: string;
  readonly split: Split;
  readonly condition: Condition;
  readonly solver: string;
  readonly fingerprint: string | null;
}

/** One answered sample. */
export interface SampleRecord {
  readonly kind: 'sample';
  readonly id: string;
  readonly index: number;
  readonly question: string;
  /** SHA-256 of prompt and image: two runs with equal hashes were asked the same. */
  readonly inputHash: string;
  readonly gold: string;
  /** The response as it was produced. */
  readonly text: string;
  /** What the parser read in it; null where it names no answer. */
  readonly prediction: string | null;
  readonly correct: 0 | 1;
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** The prompt of a sample. */
export function promptOf(task: TaskDefinition, sample: Pick<Sample, 'question'>): string {
  return sample.question + task.promptSuffix;
}

/** The header of a run. */
export function runHeader(task: TaskDefinition, solver: Solver, split: Split, condition: Condition): RunHeader {
  return {
    kind: 'header',
    schema: 1,
    task: task.name,
    taskVersion: task.version,
    split,
    condition,
    solver: solver.name,
    fingerprint: solver.fingerprint ?? null,
  };
}

/** SHA-256 over the prompt and the pixels of a sample. */
export function inputHash(task: TaskDefinition, sample: Sample): string {
  const { width, height, data } = sample.image;
  return sha256Hex(JSON.stringify([promptOf(task, sample), width, height, sha256Hex(data)]));
}

/** The record of an answer. */
export function recordOf(task: TaskDefinition, sample: Sample, answer: Answer): SampleRecord {
  const prediction = task.parse(answer.text);
  return {
    kind: 'sample',
    id: sample.id,
    index: sample.index,
    question: sample.question,
    inputHash: inputHash(task, sample),
    gold: sample.answer,
    text: answer.text,
    prediction: prediction ?? null,
    correct: task.score(prediction, sample),
    ...(answer.extra === undefined ? {} : { extra: answer.extra }),
  };
}

const isString = (value: unknown): boolean => typeof value === 'string';
const isStringOrNull = (value: unknown): boolean => value === null || isString(value);
const oneOf =
  (allowed: readonly unknown[]) =>
  (value: unknown): boolean =>
    allowed.includes(value);

/** What each field must be, by kind of line. */
const HEADER_FIELDS: Readonly<Record<keyof RunHeader, (value: unknown) => boolean>> = {
  kind: oneOf(['header']),
  schema: oneOf([1]),
  task: isString,
  taskVersion: isString,
  split: oneOf(SPLITS),
  condition: oneOf(CONDITIONS),
  solver: isString,
  fingerprint: isStringOrNull,
};
const SAMPLE_FIELDS: Readonly<Record<keyof SampleRecord, (value: unknown) => boolean>> = {
  kind: oneOf(['sample']),
  id: isString,
  index: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
  question: isString,
  inputHash: isString,
  gold: isString,
  text: isString,
  prediction: isStringOrNull,
  correct: oneOf([0, 1]),
  extra: (value) => value === undefined || (typeof value === 'object' && value !== null && !Array.isArray(value)),
};

function checkFields(value: unknown, fields: Readonly<Record<string, (value: unknown) => boolean>>): void {
  if (typeof value !== 'object' || value === null) throw new TypeError('it is not a JSON object');
  const entries: ReadonlyMap<string, unknown> = new Map(Object.entries(value));
  for (const [field, check] of Object.entries(fields)) {
    if (!check(entries.get(field))) {
      throw new TypeError(`field "${field}" is ${JSON.stringify(entries.get(field)) ?? 'missing'}`);
    }
  }
}

/** Reads one line of a record file as a header. Throws an error that says what is wrong with it. */
export function parseHeader(line: string): RunHeader {
  const value: unknown = JSON.parse(line);
  checkFields(value, HEADER_FIELDS);
  return value as RunHeader;
}

/** Reads one line of a record file as a sample record. Throws an error that says what is wrong with it. */
export function parseRecord(line: string): SampleRecord {
  const value: unknown = JSON.parse(line);
  checkFields(value, SAMPLE_FIELDS);
  return value as SampleRecord;
}

/** Throws an Error naming the first field in which two headers differ: such records must not be mixed. */
export function checkSameRun(found: RunHeader, expected: RunHeader, where: string): void {
  for (const field of Object.keys(HEADER_FIELDS) as (keyof RunHeader)[]) {
    if (found[field] !== expected[field]) {
      throw new Error(
        `${where} holds records with ${field} ${JSON.stringify(found[field])}, but this run has ` +
          `${JSON.stringify(expected[field])}; give another file or remove that one`,
      );
    }
  }
}
