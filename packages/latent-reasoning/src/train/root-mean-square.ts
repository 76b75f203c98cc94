/**
 * √(Σ w² / entries) of a matrix in any storage.
 *
 * On a device, rows are widened in pieces, so a table of a billion bytes is neither read to the host nor copied: memory is
 * one piece as f32, 2²² entries or one row. An f32 matrix that is still an array of the host needs no device.
 */
import {
  type Device,
  type Tensor,
  type Weight,
  compile,
  embedding,
  isQuantized,
  mul,
  sum,
  tensor,
  weightShape,
} from '@mindseye/tensor-core';

const pieceEntries = 2 ** 22;

/** @param device where the matrix is; without one it is read as it is, or computed on the default device */
export async function rootMeanSquare(weight: Weight, device?: Device): Promise<number> {
  const [rows, columns] = weightShape(weight);
  const readable = !device && !isQuantized(weight) && weight.dtype === 'f32';
  const total = readable ? sumOfSquares(await weight.data()) : await sumOnDevice(weight, device);
  return Math.sqrt(total / Math.max(1, rows * columns));
}

function sumOfSquares(values: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]! * values[i]!;
  return total;
}

async function sumOnDevice(weight: Weight, device: Device | undefined): Promise<number> {
  const [rows, columns] = weightShape(weight);
  const pieceRows = Math.max(1, Math.floor(pieceEntries / Math.max(1, columns)));
  const pieceSum = compile(
    (ids: Tensor) => {
      const picked = embedding(weight, ids);
      return sum(mul(picked, picked));
    },
    { ...(device && { device }), name: 'the mean square of a matrix' },
  );
  let total = 0;
  for (let start = 0; start < rows; start += pieceRows) {
    const ids = Int32Array.from({ length: Math.min(pieceRows, rows - start) }, (_, i) => start + i);
    total += await (await pieceSum(tensor(ids))).item(device);
  }
  return total;
}
