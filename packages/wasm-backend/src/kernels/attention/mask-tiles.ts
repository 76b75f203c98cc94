/**
 * Writes the mask of a few keys against a panel of queries: [keys, columns] lanes of all ones where the query may see the key.
 * A stack machine: each instruction treats all pairs at once, in a slot of `SLOT_BYTES` of which the first is the result.
 */
import { i32, i32x4, memory, select, v128 } from '../../emit/index.js';
import type { Expression, FunctionBuilder, FunctionReference, Local } from '../../emit/index.js';
import { F32_BYTES, type KernelContext } from '../host.js';
import {
  INSTRUCTION_BYTES,
  MASK_CODE,
  MASK_WORD,
  type MaskComparison,
  type MaskInstruction,
  TABLE_WORD_BITS,
} from './mask.js';
import type { PanelColumns } from './products.js';
import { wordLocals } from './words.js';

/** Keys that one pass of a program treats: a slot of 16 columns stays in L1 beside others. */
export const MASK_KEYS = 64;
export const MAX_COLUMNS = 16;
/** Bytes of a slot of the stack. */
export const SLOT_BYTES: number = MASK_KEYS * MAX_COLUMNS * F32_BYTES;
/** Bytes of the queries' numbers of an instruction. */
export const QUERY_NUMBER_BYTES: number = MAX_COLUMNS * F32_BYTES;

const VECTOR_BYTES = 16;
const BYTES_PER_WORD = 4;

type Word = Local<'i32'>;

const wordAt = (instruction: Word, word: number): Expression<'i32'> => i32.load(instruction, word * BYTES_PER_WORD);

type SideWords = (typeof MASK_WORD)['query'] | (typeof MASK_WORD)['key'];

/** The number of a position. */
const numberOf = (instruction: Word, words: SideWords, position: Word): Expression<'i32'> =>
  i32.add(
    i32.load(i32.add(wordAt(instruction, words.pointer), i32.mul(position, wordAt(instruction, words.stride)))),
    i32.add(wordAt(instruction, words.base), i32.mul(position, wordAt(instruction, words.step))),
  );

/**
 * (program, end, numbers, first, rows, queries): the queries' numbers [instructions, 16] of a panel whose rows follow `first`;
 * row r is query r modulo `queries`, rows from `rows` on repeat the last. For `bits` the word of the table.
 */
export function emitQueryNumbers({ module }: KernelContext): FunctionReference<'void'> {
  const parameters = { program: 'i32', end: 'i32', numbers: 'i32', first: 'i32', rows: 'i32', queries: 'i32' } as const;
  const signature = { name: 'attentionMaskQueries', parameters, result: 'void', exported: false } as const;
  return module.function(signature, (f, p) => {
    const { column, query, number } = wordLocals(f, 'column', 'query', 'number');
    const last = f.let('last', i32.sub(p.rows, 1));
    f.for({ index: p.program, from: p.program, below: p.end, step: INSTRUCTION_BYTES }, () => {
      f.if(i32.leUnsigned(wordAt(p.program, MASK_WORD.code), MASK_CODE.pairs), () => {
        f.for({ index: column, from: 0, below: MAX_COLUMNS, step: 1 }, () => {
          const row = i32.add(p.first, select(column, last, i32.ltUnsigned(column, last)));
          f.set(query, i32.remUnsigned(row, p.queries));
          f.set(number, numberOf(p.program, MASK_WORD.query, query));
          f.if(i32.eq(wordAt(p.program, MASK_WORD.code), MASK_CODE.bits), () => {
            f.if(
              i32.ltUnsigned(number, wordAt(p.program, MASK_WORD.tableRows)),
              () => f.set(number, i32.load(i32.add(wordAt(p.program, MASK_WORD.table), i32.shl(number, 2)))),
              () => f.set(number, 0),
            );
          });
          f.do(i32.store(i32.add(p.numbers, i32.shl(column, 2)), number));
        });
      });
      f.set(p.numbers, i32.add(p.numbers, QUERY_NUMBER_BYTES));
    });
  });
}

type Kind = MaskInstruction['kind'];
type Comparison = (query: Expression<'v128'>, key: Local<'v128'>) => Expression<'v128'>;

const comparisons: Readonly<Record<MaskComparison, Comparison>> = {
  equal: i32x4.eq,
  less: (query, key) => i32x4.gtSigned(key, query),
  greater: i32x4.gtSigned,
  greaterEqual: i32x4.geSigned,
};

const PARAMETERS = {
  out: 'i32',
  program: 'i32',
  end: 'i32',
  numbers: 'i32',
  /** Position of the first key. */
  first: 'i32',
  keys: 'i32',
  /** Slots of the stack after the first. */
  stack: 'i32',
} as const;

/** (out, program, end, numbers, first, keys, stack): the mask of at most `MASK_KEYS` keys. */
export function emitMaskTile({ module }: KernelContext, columns: PanelColumns): FunctionReference<'void'> {
  const signature = {
    name: `attentionMask${columns}`,
    parameters: PARAMETERS,
    result: 'void',
    exported: false,
  } as const;
  return module.function(signature, (f, p) => {
    const rowBytes = columns * F32_BYTES;
    const bytes = f.let('bytes', i32.mul(p.keys, rowBytes));
    const afterKeys = f.let('afterKeys', i32.add(p.first, p.keys));
    const { depth, code, key, to, from, number } = wordLocals(f, 'depth', 'code', 'key', 'to', 'from', 'number');
    const keyNumber = f.local('v128', 'keyNumber');
    const queryNumbers = Array.from({ length: columns / 4 }, () => f.local('v128', 'queryNumber'));
    const remaining = f.local('i32', 'remaining');
    const slot = (back: number): Expression<'i32'> => {
      const index = f.let('index', i32.sub(depth, back));
      return select(i32.add(p.stack, i32.mul(i32.sub(index, 1), SLOT_BYTES)), p.out, index);
    };
    const is = (name: Kind): Expression<'i32'> => i32.eq(code, MASK_CODE[name]);
    /** A loop over the keys that stores what `outcome` makes of each. */
    const push = (setKey: () => void, outcome: Comparison): void => {
      f.set(to, slot(0));
      queryNumbers.forEach((local, i) => f.set(local, v128.load(p.numbers, i * VECTOR_BYTES)));
      f.for({ index: key, from: p.first, below: afterKeys, step: 1 }, () => {
        f.set(number, numberOf(p.program, MASK_WORD.key, key));
        setKey();
        f.set(keyNumber, i32x4.splat(number));
        f.do(...queryNumbers.map((query, i) => v128.store(to, outcome(query, keyNumber), i * VECTOR_BYTES)));
        f.set(to, i32.add(to, rowBytes));
      });
      f.set(depth, i32.add(depth, 1));
    };
    const nothing = (): void => undefined;
    const forEachVector = (body: () => void): void => {
      f.set(remaining, bytes);
      f.countDown(remaining, VECTOR_BYTES, () => {
        body();
        f.set(to, i32.add(to, VECTOR_BYTES));
        f.set(from, i32.add(from, VECTOR_BYTES));
      });
    };
    const join = (operation: (a: Expression<'v128'>, b: Expression<'v128'>) => Expression<'v128'>): void => {
      f.set(to, slot(2));
      f.set(from, slot(1));
      forEachVector(() => f.do(v128.store(to, operation(v128.load(to), v128.load(from)))));
      f.set(depth, i32.sub(depth, 1));
    };
    const fill = (value: number): void => {
      f.do(memory.fill(slot(0), value, bytes));
      f.set(depth, i32.add(depth, 1));
    };
    const zero = f.let('zero', i32x4.constant(0, 0, 0, 0));
    const handlers: readonly (readonly [Kind, () => void])[] = [
      ...(Object.keys(comparisons) as MaskComparison[]).map(
        (name) => [name, () => push(nothing, comparisons[name])] as const,
      ),
      [
        'bits',
        () =>
          push(
            () => {
              const bit = select(i32.shl(1, number), i32.const(0), i32.ltUnsigned(number, TABLE_WORD_BITS));
              f.set(number, bit);
            },
            (query, bit) => i32x4.ne(v128.and(query, bit), zero),
          ),
      ],
      ['pairs', () => writePairs(f, { ...p, columns, afterKeys, key, to, number, slot: slot(0), depth })],
      ['and', () => join(v128.and)],
      ['or', () => join(v128.or)],
      [
        'not',
        () => {
          f.set(to, slot(1));
          forEachVector(() => f.do(v128.store(to, v128.not(v128.load(to)))));
        },
      ],
      ['true', () => fill(0xff)],
      ['false', () => fill(0)],
    ];
    f.for({ index: p.program, from: p.program, below: p.end, step: INSTRUCTION_BYTES }, () => {
      f.set(code, wordAt(p.program, MASK_WORD.code));
      f.block((done) => {
        for (const [name, handle] of handlers) {
          f.if(is(name), () => {
            handle();
            f.branch(done);
          });
        }
      });
      f.set(p.numbers, i32.add(p.numbers, QUERY_NUMBER_BYTES));
    });
  });
}

interface PairsCode {
  readonly columns: PanelColumns;
  readonly numbers: Word;
  readonly program: Word;
  readonly first: Word;
  readonly afterKeys: Word;
  readonly key: Word;
  readonly to: Word;
  readonly number: Word;
  readonly depth: Word;
  readonly slot: Expression<'i32'>;
}

/** Bytes of a row of pairs lie along the keys: each column is a walk of its own. */
function writePairs(f: FunctionBuilder, code: PairsCode): void {
  const { columns, numbers, program, first, afterKeys, key, to, number, depth } = code;
  const start = f.let('start', code.slot);
  for (let column = 0; column < columns; column += 1) {
    f.set(to, i32.add(start, column * F32_BYTES));
    const row = f.let('row', i32.load(numbers, column * F32_BYTES));
    f.for({ index: key, from: first, below: afterKeys, step: 1 }, () => {
      f.set(number, i32.add(row, numberOf(program, MASK_WORD.key, key)));
      f.do(i32.store(to, i32.sub(0, i32.ne(i32.load8Unsigned(number), 0))));
      f.set(to, i32.add(to, columns * F32_BYTES));
    });
  }
  f.set(depth, i32.add(depth, 1));
}
