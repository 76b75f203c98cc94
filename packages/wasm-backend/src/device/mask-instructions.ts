/**
 * A mask program as the instructions of the attention kernels, which read the mask's operands where they lie on the device: no
 * number of a position is computed here, however long a cache is.
 */
import {
  type MaskNumber,
  type MaskProgram,
  type MaskRelation,
  type RoleTable,
  type TensorSpec,
  sizeOf,
} from '@mindseye/tensor-core';
import { type MaskComparison, type MaskInstruction, type MaskSide, TABLE_WORD_BITS } from '../kernels/index.js';

/** An operand of a mask in the memory of the kernels. */
export interface PlacedOperand extends TensorSpec {
  /** Byte offset. */
  readonly pointer: number;
}

/** What instructions need to know beside the program. */
export interface MaskPlace {
  readonly operands: readonly PlacedOperand[];
  /** Batch entry. */
  readonly entry: number;
  readonly keys: number;
  /** Reads an i32 at a byte offset. */
  readonly read: (pointer: number) => number;
}

const I32_BYTES = 4;

/** Elements from one batch entry of an operand to the next; 0 where all share one. */
const entryStride = ({ shape }: TensorSpec): number => (shape[0] === 1 ? 0 : sizeOf(shape.slice(1)));

/** A number of the program as a side; what is added to it wraps around as i32 sums do. */
function sideOf(number: MaskNumber, place: MaskPlace): MaskSide {
  switch (number.op) {
    case 'position':
      return { base: 0, step: 1 };
    case 'constant':
      return { base: number.value, step: 0 };
    case 'load': {
      const operand = place.operands[number.operand]!;
      const pointer = operand.pointer + I32_BYTES * place.entry * entryStride(operand);
      return number.per === 'position' ? { pointer, base: 0, step: 0 } : { base: place.read(pointer), step: 0 };
    }
    case 'add': {
      const [left, right] = [sideOf(number.left, place), sideOf(number.right, place)];
      if (left.pointer !== undefined && right.pointer !== undefined)
        throw new Error('attention mask: a number is the sum of two operands by position; no mask makes one');
      const pointer = left.pointer ?? right.pointer;
      const sums = { base: (left.base + right.base) | 0, step: left.step + right.step };
      return pointer === undefined ? sums : { pointer, ...sums };
    }
  }
}

const comparisons: Readonly<Record<MaskRelation, MaskComparison>> = {
  equal: 'equal',
  less: 'less',
  greater: 'greater',
  greaterEqual: 'greaterEqual',
};

/** The words of every 32 columns of a table, one word for each row. */
const tableWords = (table: RoleTable): number[][] =>
  Array.from({ length: Math.ceil(table[0]!.length / TABLE_WORD_BITS) }, (_, part) =>
    table.map((row) =>
      row
        .slice(part * TABLE_WORD_BITS, (part + 1) * TABLE_WORD_BITS)
        .reduce((word, allowed, bit) => (allowed ? word | (1 << bit) : word), 0),
    ),
  );

/** A list of parts in postfix order, joined one after the other. */
function joined(kind: 'and' | 'or', parts: readonly (readonly MaskInstruction[])[]): MaskInstruction[] {
  if (parts.length === 0) return [{ kind: kind === 'and' ? 'true' : 'false' }];
  return parts.flatMap((part, i) => (i === 0 ? part : [...part, { kind }]));
}

/** The instructions of one batch entry. Their number and their tables do not depend on the entry. */
export function maskInstructions(program: MaskProgram, place: MaskPlace): MaskInstruction[] {
  switch (program.op) {
    case 'compare': {
      const [query, key] = [sideOf(program.query, place), sideOf(program.key, place)];
      return [{ kind: comparisons[program.relation], query, key }];
    }
    case 'table': {
      const [query, key] = [sideOf(program.query, place), sideOf(program.key, place)];
      const parts = tableWords(program.table).map((words, part): MaskInstruction[] => [
        { kind: 'bits', query, key: { ...key, base: key.base - part * TABLE_WORD_BITS }, words },
      ]);
      return joined('or', parts);
    }
    case 'pairs': {
      const operand = place.operands[program.operand]!;
      const base = operand.pointer + place.entry * entryStride(operand);
      return [{ kind: 'pairs', query: { base, step: place.keys }, key: { base: 0, step: 1 } }];
    }
    case 'and':
    case 'or':
      return joined(
        program.op,
        program.parts.map((part) => maskInstructions(part, place)),
      );
    case 'not':
      return [...maskInstructions(program.part, place), { kind: 'not' }];
  }
}

/** What the kernels must keep room for; known from the program alone. */
export function maskProgramSizes(program: MaskProgram): {
  readonly instructions: number;
  readonly words: number;
  readonly depth: number;
} {
  const nowhere: PlacedOperand = { shape: [1], dtype: 'i32', pointer: 0 };
  const operands = new Proxy<PlacedOperand[]>([], { get: () => nowhere });
  const instructions = maskInstructions(program, { operands, entry: 0, keys: 0, read: () => 0 });
  let [depth, most, words] = [0, 0, 0];
  for (const instruction of instructions) {
    const { kind } = instruction;
    depth += kind === 'and' || kind === 'or' ? -1 : kind === 'not' ? 0 : 1;
    most = Math.max(most, depth);
    if (kind === 'bits') words += instruction.words.length;
  }
  return { instructions: instructions.length, words, depth: most };
}
