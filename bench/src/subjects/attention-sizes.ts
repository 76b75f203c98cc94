/** The attention that is compared: causal, one sequence, query and key heads alike. */
import { filled } from '../work.ts';

export const HEADS = 32;
export const HEAD_SIZE = 128;

export const operandNames = ['q', 'k', 'v'] as const;

/** A vector of an operand: the query, key or value of a head at a position. */
interface Place {
  readonly head: number;
  readonly position: number;
}

/** Order of the vectors in memory. */
export interface Layout {
  readonly shape: (length: number) => readonly number[];
  readonly rowOf: (place: Place, length: number) => number;
  readonly placeOf: (row: number, length: number) => Place;
}

/** Heads apart, as this project has them; or heads side by side in a token, as MultiHeadAttention has them. */
export const layouts = {
  headsApart: {
    shape: (length) => [1, HEADS, length, HEAD_SIZE],
    rowOf: ({ head, position }, length) => head * length + position,
    placeOf: (row, length) => ({ head: Math.floor(row / length), position: row % length }),
  },
  headsTogether: {
    shape: (length) => [1, length, HEADS * HEAD_SIZE],
    rowOf: ({ head, position }) => position * HEADS + head,
    placeOf: (row) => ({ head: row % HEADS, position: Math.floor(row / HEADS) }),
  },
} as const satisfies Readonly<Record<string, Layout>>;

export const elementsOf = (length: number): number => HEADS * length * HEAD_SIZE;

/** Values of q, k and v, from -1 to 1, element by element in whatever layout. */
export function attentionOperand(which: number, length: number): Float32Array {
  const factor = [7, 13, 17][which]!;
  return filled(elementsOf(length), (i) => ((i * factor) % 1009) / 504 - 1);
}

/** The exact value of an element of the result, by its index in the layout. */
export function exactAttention(
  [q, k, v]: readonly Float32Array[],
  { rowOf, placeOf }: Layout,
  length: number,
  isCausal: boolean,
  index: number,
): number {
  const { head, position } = placeOf(Math.floor(index / HEAD_SIZE), length);
  const start = (at: number): number => rowOf({ head, position: at }, length) * HEAD_SIZE;
  const weights = Array.from({ length: isCausal ? position + 1 : length }, (_, key) => {
    let score = 0;
    for (let i = 0; i < HEAD_SIZE; i++) score += q![start(position) + i]! * k![start(key) + i]!;
    return Math.exp(score / Math.sqrt(HEAD_SIZE));
  });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.reduce((sum, weight, key) => sum + (weight / total) * v![start(key) + (index % HEAD_SIZE)]!, 0);
}
