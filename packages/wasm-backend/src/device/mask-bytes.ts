/**
 * A mask as bytes, 1 where the query may see the key: what the attention kernel reads of a block that it cannot take whole.
 *
 * Every leaf of a mask program sets a number of the query against a number of the key. Both are computed once for all
 * positions; a row of bytes is then one loop per leaf over the keys, and one per `and`, `or` and `not`.
 */
import {
  type HostTensor,
  type MaskExpression,
  type MaskNumber,
  type MaskProgram,
  type MaskRelation,
  maskProgram,
  readMaskNumber,
} from '@mindseye/tensor-core';
import { QUERY_BLOCK, type VisibleKeys } from '../kernels/attention-blocks.js';

export interface MaskSizes {
  readonly queries: number;
  readonly keys: number;
}

/** Sizes, and how many of the keys lie before the end of the last run: the others, of a long cache, are not looked at. */
interface WrittenSizes extends MaskSizes {
  readonly reach: number;
}

/** Writes the bytes of one query for `count` keys from `first` on into `to`, from `at` on. */
type RowWriter = (query: number, first: number, count: number, to: Uint8Array, at: number) => void;

/** The least and the greatest number of a key that stands so to the query's number; not rounded to i32. */
const bands: Readonly<Record<MaskRelation, (query: number) => readonly [least: number, greatest: number]>> = {
  equal: (query) => [query, query],
  less: (query) => [query + 1, Infinity],
  greater: (query) => [-Infinity, query - 1],
  greaterEqual: (query) => [-Infinity, query],
};

const joins: Readonly<Record<'and' | 'or', { readonly ofNothing: number; join(a: number, b: number): number }>> = {
  and: { ofNothing: 1, join: (a, b) => a & b },
  or: { ofNothing: 0, join: (a, b) => a | b },
};

/** Writes rows of a mask for batch entry `entry`. */
function rowWriter(
  program: MaskProgram,
  operands: readonly HostTensor[],
  entry: number,
  sizes: WrittenSizes,
): RowWriter {
  const { queries, keys, reach } = sizes;
  const numbers = (number: MaskNumber, positions: number): Int32Array => {
    const read = readMaskNumber(number, operands);
    return Int32Array.from({ length: positions }, (_, position) => read(entry, position));
  };
  const partWriter = (part: MaskProgram): RowWriter => rowWriter(part, operands, entry, sizes);
  switch (program.op) {
    case 'compare': {
      const [ofQuery, ofKey] = [numbers(program.query, queries), numbers(program.key, reach)];
      const band = bands[program.relation];
      return (query, first, count, to, at) => {
        const [least, greatest] = band(ofQuery[query]!);
        for (let i = 0; i < count; i++) {
          const key = ofKey[first + i]!;
          to[at + i] = key >= least && key <= greatest ? 1 : 0;
        }
      };
    }
    case 'table': {
      const [ofQuery, ofKey] = [numbers(program.query, queries), numbers(program.key, reach)];
      const table = program.table.map((row) => Uint8Array.from(row, Number));
      const none = new Uint8Array();
      return (query, first, count, to, at) => {
        const row = table[ofQuery[query]!] ?? none;
        for (let i = 0; i < count; i++) to[at + i] = row[ofKey[first + i]!] ?? 0;
      };
    }
    case 'pairs': {
      const { data, shape } = operands[program.operand]!;
      const start = shape[0] === 1 ? 0 : entry * queries * keys;
      return (query, first, count, to, at) => {
        const from = start + query * keys + first;
        to.set(data.subarray(from, from + count), at);
      };
    }
    case 'not': {
      const write = partWriter(program.part);
      return (query, first, count, to, at) => {
        write(query, first, count, to, at);
        for (let i = at; i < at + count; i++) to[i] = 1 - to[i]!;
      };
    }
    case 'and':
    case 'or': {
      const [first, ...rest] = program.parts.map(partWriter);
      return first ? joinRows(first, rest, joins[program.op].join, reach) : filledRows(joins[program.op].ofNothing);
    }
  }
}

const filledRows =
  (value: number): RowWriter =>
  (_query, _first, count, to, at) => {
    to.fill(value, at, at + count);
  };

function joinRows(
  write: RowWriter,
  rest: readonly RowWriter[],
  join: (a: number, b: number) => number,
  keys: number,
): RowWriter {
  const other = new Uint8Array(keys);
  return (query, first, count, to, at) => {
    write(query, first, count, to, at);
    for (const next of rest) {
      next(query, first, count, other, 0);
      for (let i = 0; i < count; i++) to[at + i] = join(to[at + i]!, other[i]!);
    }
  };
}

/**
 * The bytes of batch entry `entry` for the masked blocks of `visible`, block after block, each [queries of the block, keys
 * of its runs]: the layout that the attention kernel reads.
 */
export function maskBytes(
  expression: MaskExpression,
  operands: readonly HostTensor[],
  entry: number,
  sizes: MaskSizes,
  visible: readonly VisibleKeys[],
): Uint8Array {
  const blocks = visible.map(({ runs, masked }, i) => ({
    runs: masked ? runs : [],
    first: i * QUERY_BLOCK,
    end: Math.min(sizes.queries, (i + 1) * QUERY_BLOCK),
    columns: masked ? runs.reduce((total, { count }) => total + count, 0) : 0,
  }));
  const bytes = new Uint8Array(blocks.reduce((total, { first, end, columns }) => total + (end - first) * columns, 0));
  if (bytes.length === 0) return bytes;
  const reach = Math.max(...blocks.flatMap(({ runs }) => runs.map(({ first, count }) => first + count)));
  const write = rowWriter(maskProgram(expression), operands, entry, { ...sizes, reach });
  let at = 0;
  for (const { runs, first, end } of blocks) {
    for (let query = first; query < end; query++) {
      for (const run of runs) {
        write(query, run.first, run.count, bytes, at);
        at += run.count;
      }
    }
  }
  return bytes;
}
