/**
 * A mask as the attention kernels take it: a map of tiles, and a small postfix program that says for any query and key of a
 * partial tile whether the one may see the other. Nothing of it is as large as queries times keys, but for bytes that the
 * caller already has (`pairs`).
 *
 * An instruction pushes the outcome of a comparison, or joins what was pushed before. Its two sides are numbers of a position,
 *
 *   number(x) = load(pointer + 4 x) + base + step x      in i32, wrapping; without a pointer, base + step x.
 */

/** A number of every position of one side. */
export interface MaskSide {
  /** Byte offset of i32 numbers by position. */
  readonly pointer?: number;
  readonly base: number;
  readonly step: number;
}

/** How the query's number must stand to the key's. */
export type MaskComparison = 'equal' | 'less' | 'greater' | 'greaterEqual';

/** Bits of a word of a table row: keys' numbers that one `bits` instruction tells apart. */
export const TABLE_WORD_BITS = 32;

export type MaskInstruction =
  | { readonly kind: MaskComparison; readonly query: MaskSide; readonly key: MaskSide }
  /**
   * Bit number(key) of the word at number(query) is set; false where there is no such bit or word. Wider tables are several
   * instructions, their keys' numbers counted from 32, 64, ….
   */
  | { readonly kind: 'bits'; readonly query: MaskSide; readonly key: MaskSide; readonly words: readonly number[] }
  /** The byte at number(query) + number(key) is not 0; the query's number is a byte offset. */
  | { readonly kind: 'pairs'; readonly query: MaskSide; readonly key: MaskSide }
  | { readonly kind: 'and' | 'or' | 'not' | 'true' | 'false' };

/** What scratch depends on. */
export interface MaskSizes {
  /** Batch entries with a mask of their own: all, or 1 that all share. */
  readonly entries: number;
  /** Instructions of each entry. */
  readonly instructions: number;
  /** Words of all tables. */
  readonly words: number;
  /** Most outcomes that lie on the stack. */
  readonly depth: number;
}

/** The mask of one call. */
export interface AttentionMask extends MaskSizes {
  /** Instructions of each entry: alike but for the numbers of their sides. */
  readonly programs: readonly (readonly MaskInstruction[])[];
  /** [entries, query tiles, key tiles], 0 where no query sees a key, 1 where every query sees every key, else 2. */
  readonly tiles: Uint8Array;
}

/** Codes of instructions; comparisons first. */
export const MASK_CODE: Readonly<Record<MaskInstruction['kind'], number>> = {
  equal: 0,
  less: 1,
  greater: 2,
  greaterEqual: 3,
  bits: 4,
  pairs: 5,
  and: 6,
  or: 7,
  not: 8,
  true: 9,
  false: 10,
};

/** Words of an instruction. A side without a pointer has one to a word of 0, and stride 0. */
export const MASK_WORD = {
  code: 0,
  query: { pointer: 1, stride: 2, base: 3, step: 4 },
  key: { pointer: 5, stride: 6, base: 7, step: 8 },
  table: 9,
  tableRows: 10,
} as const;

/** 32-bit words, padded to 16-byte vectors. */
export const INSTRUCTION_WORDS = 12;
const WORD_BYTES = 4;
export const INSTRUCTION_BYTES: number = INSTRUCTION_WORDS * WORD_BYTES;

/** Bytes of the programs and tables of a mask, with the word of 0. */
export const programBytes = ({ entries, instructions, words }: MaskSizes): number =>
  (entries * instructions * INSTRUCTION_WORDS + words + 4) * WORD_BYTES;

/** The words of all programs of a mask that lie at byte offset `at`, the tables after them. */
export function encodePrograms({ programs, ...sizes }: AttentionMask, at: number): Int32Array {
  const encoded = new Int32Array(programBytes(sizes) / WORD_BYTES);
  let next = 0;
  let table = sizes.entries * sizes.instructions * INSTRUCTION_WORDS;
  const zeroAt = at + (encoded.length - 1) * WORD_BYTES;
  // Entries have equal tables.
  const tables = new Map<string, number>();
  const placeTable = (words: readonly number[]): number => {
    const name = words.join();
    const known = tables.get(name);
    if (known !== undefined) return known;
    const place = at + table * WORD_BYTES;
    encoded.set(words, table);
    tables.set(name, place);
    table += words.length;
    return place;
  };
  for (const instruction of programs.flat()) {
    encoded[next + MASK_WORD.code] = MASK_CODE[instruction.kind];
    if ('query' in instruction) {
      for (const side of ['query', 'key'] as const) {
        const { pointer, base, step } = instruction[side];
        const words = MASK_WORD[side];
        encoded[next + words.pointer] = pointer ?? zeroAt;
        encoded[next + words.stride] = pointer === undefined ? 0 : WORD_BYTES;
        encoded[next + words.base] = base;
        encoded[next + words.step] = step;
      }
    }
    if (instruction.kind === 'bits') {
      encoded[next + MASK_WORD.table] = placeTable(instruction.words);
      encoded[next + MASK_WORD.tableRows] = instruction.words.length;
    }
    next += INSTRUCTION_WORDS;
  }
  return encoded;
}
