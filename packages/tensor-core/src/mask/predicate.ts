/** A mask program as functions of positions, over operands in host arrays. Composed once, then called per pair. */
import type { HostTensor } from '../op.js';
import { sizeOf } from '../shape.js';
import type { MaskExpression } from './expression.js';
import { type MaskNumber, type MaskProgram, type MaskRelation, maskProgram } from './program.js';

/** Whether `query` of batch entry `batch` may see `key`. */
export type MaskPredicate = (batch: number, query: number, key: number) => boolean;

/** A number of one side of the mask at a position. */
export type MaskNumberReader = (batch: number, position: number) => number;

const relations: Readonly<Record<MaskRelation, (query: number, key: number) => boolean>> = {
  equal: (query, key) => query === key,
  less: (query, key) => query < key,
  greater: (query, key) => query > key,
  greaterEqual: (query, key) => query >= key,
};

/** `number` as a function of batch entry and position. */
export function readMaskNumber(number: MaskNumber, operands: readonly HostTensor[]): MaskNumberReader {
  switch (number.op) {
    case 'position':
      return (_batch, position) => position;
    case 'constant': {
      const { value } = number;
      return () => value;
    }
    case 'load': {
      const { data } = operands[number.operand]!;
      const [ofBatch, ofPosition] = [batchStride(operands[number.operand]!), number.per === 'batch' ? 0 : 1];
      return (batch, position) => data[batch * ofBatch + position * ofPosition]!;
    }
    case 'add': {
      const [left, right] = [readMaskNumber(number.left, operands), readMaskNumber(number.right, operands)];
      // The sum as an i32 holds it.
      return (batch, position) => (left(batch, position) + right(batch, position)) | 0;
    }
  }
}

/** Elements between the parts of two batch entries; 0 where all entries share one. */
function batchStride({ shape }: HostTensor): number {
  return shape[0] === 1 ? 0 : sizeOf(shape.slice(1));
}

/** A bool operand [B, queries, keys] as a predicate. */
export function readMaskPairs(operand: number, operands: readonly HostTensor[]): MaskPredicate {
  const { data, shape } = operands[operand]!;
  const [ofBatch, keys] = [batchStride(operands[operand]!), shape[2]!];
  return (batch, query, key) => data[batch * ofBatch + query * keys + key] === 1;
}

function predicateOf(program: MaskProgram, operands: readonly HostTensor[]): MaskPredicate {
  switch (program.op) {
    case 'compare': {
      const holds = relations[program.relation];
      const [ofQuery, ofKey] = [readMaskNumber(program.query, operands), readMaskNumber(program.key, operands)];
      return (batch, query, key) => holds(ofQuery(batch, query), ofKey(batch, key));
    }
    case 'table': {
      const { table } = program;
      const [ofQuery, ofKey] = [readMaskNumber(program.query, operands), readMaskNumber(program.key, operands)];
      return (batch, query, key) => table[ofQuery(batch, query)]?.[ofKey(batch, key)] ?? false;
    }
    case 'pairs':
      return readMaskPairs(program.operand, operands);
    case 'and': {
      const parts = program.parts.map((part) => predicateOf(part, operands));
      return (batch, query, key) => parts.every((part) => part(batch, query, key));
    }
    case 'or': {
      const parts = program.parts.map((part) => predicateOf(part, operands));
      return (batch, query, key) => parts.some((part) => part(batch, query, key));
    }
    case 'not': {
      const part = predicateOf(program.part, operands);
      return (batch, query, key) => !part(batch, query, key);
    }
  }
}

/** The mask as a function of positions, reading its operands from host arrays. */
export const maskPredicate = (expression: MaskExpression, operands: readonly HostTensor[]): MaskPredicate =>
  predicateOf(maskProgram(expression), operands);
