/**
 * Question templates of the perception tasks: attributes, places and counts.
 *
 * They teach a small base model to see; the target tasks are taught later and tested. So none of them may be worded like a
 * target task. Counts of rows and columns end at four; those of the whole image go as far as the counting task does, because a
 * base of this size that never counted beyond four does not learn it from a thousand examples. So what the counting task adds
 * is its wording and its hard scenes, not counting itself. Rows and columns are numbered from 1, from the top left.
 * Templates that compare a kind with the whole image weigh most: that is what the target tasks build on.
 *
 * A template lists every question it can ask about a scene. Choosing among them is the same for all (see perception.ts): first
 * an answer, uniformly among those that occur, then a question with that answer, so that "nothing" and "0" do not drown the rest.
 */
import { GRID } from '../scene/scene.js';
import type { Cells } from '../scene/scene.js';
import { COLORS, KINDS, SHAPES, kindName, kindNamePlural, sameKind, shapePlural } from '../scene/vocabulary.js';
import type { ObjectKind } from '../scene/vocabulary.js';
import { parseInteger, parsePhrase } from './parse.js';
import type { Question } from './generated.js';

/** One way of asking. */
export interface PerceptionTemplate {
  /** All possible answers, or null where they cannot be listed. */
  readonly classes: readonly string[] | null;
  readonly parse: (text: string) => string | undefined;
  /** Share of this template in the mixed task, relative to the others. */
  readonly weight: number;
  /** Every question with its answer; may be empty where the scene offers none. */
  readonly candidates: (cells: Cells) => readonly Omit<Question, 'template'>[];
}

const NUMBERS = [1, 2, 3, 4] as const;
const SMALL_COUNTS: readonly string[] = ['0', '1', '2', '3', '4'];
/** Of the whole image, one kind can fill ten cells. */
const IMAGE_COUNTS: readonly string[] = [...SMALL_COUNTS, '5', '6', '7', '8', '9', '10'];
const NOTHING = 'nothing';

const lines = {
  row: (cells: Cells, row: number): Cells => cells.slice((row - 1) * GRID, row * GRID),
  column: (cells: Cells, column: number): Cells => cells.filter((_, cell) => cell % GRID === column - 1),
} as const;

const yesOrNo = (is: boolean): string => (is ? 'yes' : 'no');
const isKind = (cell: ObjectKind | null, kind: ObjectKind): boolean => cell !== null && sameKind(cell, kind);
const nameOf = (kind: ObjectKind | null): string => (kind === null ? NOTHING : kindName(kind));
const listOf = (cells: Cells): string => cells.map(nameOf).join(', ');
const countOf = (cells: Cells, kind: ObjectKind): number => cells.filter((cell) => isKind(cell, kind)).length;

/** The occupied cells with their 1-based place. */
function occupied(cells: Cells): { kind: ObjectKind; row: number; column: number }[] {
  return cells.flatMap((kind, cell) =>
    kind === null ? [] : [{ kind, row: Math.floor(cell / GRID) + 1, column: (cell % GRID) + 1 }],
  );
}

/** Kinds that are, or could easily be mistaken to be, in `line`: those that agree with something there in shape or colour. */
function confusable(line: Cells): readonly ObjectKind[] {
  return KINDS.filter((kind) => line.some((cell) => cell?.shape === kind.shape || cell?.color === kind.color));
}

/** The templates by name. Adding one is adding a row. */
export const PERCEPTION_TEMPLATES: Readonly<Record<string, PerceptionTemplate>> = {
  'cell-content': {
    classes: [...KINDS.map(kindName), NOTHING],
    parse: parsePhrase,
    weight: 1,
    candidates: (cells) =>
      cells.map((kind, cell) => ({
        question: `What is in row ${Math.floor(cell / GRID) + 1}, column ${(cell % GRID) + 1}?`,
        answer: nameOf(kind),
      })),
  },
  'cell-color': {
    classes: COLORS,
    parse: parsePhrase,
    weight: 1,
    candidates: (cells) =>
      occupied(cells).map(({ kind, row, column }) => ({
        question: `What color is the ${kind.shape} in row ${row}, column ${column}?`,
        answer: kind.color,
      })),
  },
  'cell-shape': {
    classes: SHAPES,
    parse: parsePhrase,
    weight: 1,
    candidates: (cells) =>
      occupied(cells).map(({ kind, row, column }) => ({
        question: `What shape is the ${kind.color} object in row ${row}, column ${column}?`,
        answer: kind.shape,
      })),
  },
  'row-presence': {
    classes: ['yes', 'no'],
    parse: parsePhrase,
    weight: 1,
    candidates: (cells) =>
      NUMBERS.flatMap((row) => {
        const line = lines.row(cells, row);
        return confusable(line).map((kind) => ({
          question: `Is there a ${kindName(kind)} in row ${row}?`,
          answer: yesOrNo(countOf(line, kind) > 0),
          target: kind,
        }));
      }),
  },
  'find-column': {
    classes: NUMBERS.map(String),
    parse: parseInteger,
    weight: 1,
    candidates: (cells) =>
      occupied(cells)
        .filter(({ kind, row }) => countOf(lines.row(cells, row), kind) === 1)
        .map(({ kind, row, column }) => ({
          question: `Which column of row ${row} has the ${kindName(kind)}?`,
          answer: String(column),
          target: kind,
        })),
  },
  'row-objects': {
    classes: SMALL_COUNTS,
    parse: parseInteger,
    weight: 1,
    candidates: (cells) =>
      NUMBERS.map((row) => ({
        question: `How many objects are in row ${row}?`,
        answer: String(lines.row(cells, row).filter((cell) => cell !== null).length),
      })),
  },
  'column-objects': {
    classes: SMALL_COUNTS,
    parse: parseInteger,
    weight: 1,
    candidates: (cells) =>
      NUMBERS.map((column) => ({
        question: `How many objects are in column ${column}?`,
        answer: String(lines.column(cells, column).filter((cell) => cell !== null).length),
      })),
  },
  'row-kind-count': {
    classes: SMALL_COUNTS,
    parse: parseInteger,
    weight: 1,
    candidates: (cells) =>
      NUMBERS.flatMap((row) => {
        const line = lines.row(cells, row);
        return confusable(line).map((kind) => ({
          question: `Count the ${kindNamePlural(kind)} in row ${row}.`,
          answer: String(countOf(line, kind)),
          target: kind,
        }));
      }),
  },
  'column-kind-count': {
    classes: SMALL_COUNTS,
    parse: parseInteger,
    weight: 1,
    candidates: (cells) =>
      NUMBERS.flatMap((column) => {
        const line = lines.column(cells, column);
        return confusable(line).map((kind) => ({
          question: `Count the ${kindNamePlural(kind)} in column ${column}.`,
          answer: String(countOf(line, kind)),
          target: kind,
        }));
      }),
  },
  'describe-row': {
    classes: null,
    parse: parsePhrase,
    weight: 1,
    candidates: (cells) =>
      NUMBERS.map((row) => ({ question: `Describe row ${row}.`, answer: listOf(lines.row(cells, row)) })),
  },
  'describe-column': {
    classes: null,
    parse: parsePhrase,
    weight: 1,
    candidates: (cells) =>
      NUMBERS.map((column) => ({
        question: `Describe column ${column}.`,
        answer: listOf(lines.column(cells, column)),
      })),
  },
  'describe-image': {
    classes: null,
    parse: parsePhrase,
    weight: 3,
    candidates: (cells) => [
      { question: 'Describe the image.', answer: NUMBERS.map((row) => listOf(lines.row(cells, row))).join('; ') },
    ],
  },
  'mark-kind': {
    classes: null,
    parse: parsePhrase,
    weight: 3,
    candidates: (cells) =>
      confusable(cells).map((kind) => ({
        question: `Mark the ${kindNamePlural(kind)}.`,
        answer: NUMBERS.map((row) =>
          lines
            .row(cells, row)
            .map((cell) => yesOrNo(isKind(cell, kind)))
            .join(', '),
        ).join('; '),
        target: kind,
      })),
  },
  'locate-kind': {
    classes: null,
    parse: parsePhrase,
    weight: 4,
    candidates: (cells) =>
      confusable(cells).map((kind) => ({
        question: `Where are the ${kindNamePlural(kind)}?`,
        answer:
          occupied(cells)
            .filter((found) => sameKind(found.kind, kind))
            .map(({ row, column }) => `${row} ${column}`)
            .join(', ') || 'nowhere',
        target: kind,
      })),
  },
  'image-presence': {
    classes: ['yes', 'no'],
    parse: parsePhrase,
    weight: 2,
    candidates: (cells) =>
      confusable(cells).map((kind) => ({
        question: `Is there a ${kindName(kind)}?`,
        answer: yesOrNo(countOf(cells, kind) > 0),
        target: kind,
      })),
  },
  'image-kind-count': {
    classes: IMAGE_COUNTS,
    parse: parseInteger,
    weight: 4,
    candidates: (cells) => {
      const count = (what: string, matches: (kind: ObjectKind) => boolean) => ({
        question: `Count the ${what}.`,
        answer: String(cells.filter((cell) => cell !== null && matches(cell)).length),
      });
      const counts = [
        ...confusable(cells).map((target) => ({
          ...count(kindNamePlural(target), (kind) => sameKind(kind, target)),
          target,
        })),
        ...SHAPES.map((shape) => count(shapePlural(shape), (kind) => kind.shape === shape)),
        ...COLORS.map((color) => count(`${color} objects`, (kind) => kind.color === color)),
      ];
      return counts.filter(({ answer }) => IMAGE_COUNTS.includes(answer));
    },
  },
};
