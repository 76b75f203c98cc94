/**
 * Rows of a table as f32: y[i…, :] = table[ids[i…], :] (torch.nn.functional.embedding).
 *
 * table [rows, width] f32, f16, bf16 or quantised, ids i32 [...any] → y f32 [...any, width]. Rows are picked in the storage
 * of the table and widened afterwards, so that a large table costs no copy.
 */
import { ShapeError } from '../errors.js';
import { cast } from '../ops/cast.js';
import { gather } from '../ops/gather.js';
import { reshape } from '../ops/reshape.js';
import { dequantize } from '../quantize/dequantize.js';
import {
  type Weight,
  checkQuantized,
  formatOf,
  fromOperands,
  isQuantized,
  operandsOf,
} from '../quantize/quantized-tensor.js';
import { formatShape } from '../shape.js';
import type { Tensor } from '../tensor.js';

/**
 * @throws ShapeError unless the table is a matrix and the ids are i32; RangeError, when it runs, for an id without a row.
 */
export function embedding(table: Weight, ids: Tensor): Tensor {
  if (!isQuantized(table)) {
    if (table.rank !== 2)
      throw new ShapeError(`embedding takes a table [rows, width], got ${table.dtype}${formatShape(table.shape)}`);
    return cast(gather(table, ids), 'f32');
  }
  const flat = reshape(ids, [ids.size]);
  const parts = operandsOf(checkQuantized(table, 'embedding')).map((part) => gather(part, flat));
  return reshape(dequantize(fromOperands(parts, formatOf(table))), [...ids.shape, table.columns]);
}
