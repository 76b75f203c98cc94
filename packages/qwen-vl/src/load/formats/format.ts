/**
 * What a file format of packed matrices has to say, so that all of them are built by the same code (`build-packed.ts`).
 *
 * A format is a table entry: which tensors below a module make up its matrix, what shapes they have to have, and how their
 * bytes become codes in our order, scales, and zero points or offsets. W is [rows, columns] = [out, in].
 */
import type { SafetensorsDtype, TensorInfo } from '@mindseye/tensor-core';
import type { QuantizationConfig } from '../../config/quantization-config.js';
import type { ReadContext } from '../read-context.js';

/** How one matrix is stored in a checkpoint's files. */
export type StoredFormat = 'dense' | QuantizationConfig['method'];

/** The tensors that hold one matrix: last part of the name → the stored name. */
export type PartNames = ReadonlyMap<string, string>;

/** The same with their headers. */
export type PartInfos = ReadonlyMap<string, TensorInfo>;

/** What the header of a part has to be. */
export interface PartSpec {
  readonly shape: readonly number[];
  readonly dtypes: readonly SafetensorsDtype[];
}

/** Numbers per stored group: f32, or f16 or bf16 codes as they are in the file. */
export interface GroupNumbers {
  readonly dtype: 'f32' | 'f16' | 'bf16';
  /** [rows, groups]. */
  readonly data: Float32Array | Uint16Array;
}

/** Codes of all columns `columnFrom` … of rows `rowFrom` … of a matrix, packed as `QuantizedTensor` packs them. */
export interface CodeBlock {
  readonly rowFrom: number;
  readonly rows: number;
  /** First word of each row that the block holds. */
  readonly wordFrom: number;
  readonly words: number;
  /** u32 [rows, words]; only good until the next block is asked for. */
  readonly codes: Uint32Array;
}

/** A matrix as the headers describe it, ready to be read. */
export interface PackedMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly bits: 4 | 8;
  /** Columns that share a scale in the file: `columns` where a row has one scale. */
  readonly groupSize: number;
  /** Tensors that have to be there, and those that may be. */
  readonly required: Readonly<Record<string, PartSpec>>;
  readonly optional: Readonly<Record<string, PartSpec>>;
  /** Group of each column, for files that store it. */
  readonly groupIndexPart?: string;
  /** Every code once, in blocks of about `WINDOW_BYTES`. */
  readonly codeBlocks: (context: ReadContext, parts: PartNames) => AsyncGenerator<CodeBlock, void>;
  readonly scales: (context: ReadContext, parts: PartNames) => Promise<GroupNumbers>;
  /** The code that means 0, [rows, groups]; undefined where it is 2^(bits−1) throughout. Not with `offsets`. */
  readonly zeroPoints?: (context: ReadContext, parts: PartNames) => Promise<Uint8Array | undefined>;
  /** What is added to scale · code. */
  readonly offsets?: (context: ReadContext, parts: PartNames) => Promise<GroupNumbers>;
}

export interface PackedFormat {
  readonly method: QuantizationConfig['method'];
  /** True when these parts are a matrix in this format. */
  readonly recognises: (parts: PartInfos, quantization: QuantizationConfig | undefined) => boolean;
  /** Shape [out, in] that the headers say by themselves, or undefined where they do not. */
  readonly shape: (
    parts: PartInfos,
    quantization: QuantizationConfig | undefined,
    module: string,
  ) => readonly [number, number] | undefined;
  /**
   * The matrix [rows, columns] of module `module` in these parts.
   * @returns a text that says why it cannot be read, where the headers contradict themselves or config.json
   */
  readonly describe: (
    shape: readonly [number, number],
    parts: PartInfos,
    quantization: QuantizationConfig | undefined,
    module: string,
  ) => PackedMatrix | string;
}

export const WORD_DTYPES: readonly SafetensorsDtype[] = ['I32', 'U32'];
export const SCALE_DTYPES: readonly SafetensorsDtype[] = ['F16', 'BF16', 'F32'];
