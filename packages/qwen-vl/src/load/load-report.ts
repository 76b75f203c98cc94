/** What was found in a checkpoint, and the error of one that is not the model that config.json describes. */
import type { SafetensorsDtype } from '@mindseye/tensor-core';
import { ConfigError } from '../errors.js';
import type { NameLayout } from '../model/parameters.js';
import type { StoredFormat } from './formats/format.js';

/** A tensor whose header is not what the model needs. */
export interface MismatchedTensor {
  /** Its name in the module tree. */
  readonly name: string;
  /** Its name in the files. */
  readonly stored: string;
  readonly dtype: SafetensorsDtype;
  readonly fileShape: readonly number[];
  readonly configShape: readonly number[];
  /** One clause: what is wrong, with the values. */
  readonly problem: string;
}

/** How one tensor of the model is stored in the files. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly format: StoredFormat;
  /** Names in the files: one for a dense tensor, several for a packed matrix. */
  readonly stored: readonly string[];
}

export interface LoadReport {
  /** Tensors of the model that are there as they should be; after loading, that were loaded. */
  readonly loaded: number;
  /** Names in the module tree that no tensor of the files has. */
  readonly missing: readonly string[];
  /** Tensors of the files that the model has no place for. */
  readonly unexpected: readonly string[];
  readonly mismatched: readonly MismatchedTensor[];
  /** How the files name tensors; undefined where nothing was recognised, `mixed` where several ways occur. */
  readonly layout: NameLayout | 'mixed' | undefined;
  /** The dtypes of the files' tensors that belong to the model, with their number. */
  readonly dtypes: Readonly<Record<string, number>>;
  /** How the model's tensors are stored, with their number. */
  readonly formats: Readonly<Partial<Record<StoredFormat, number>>>;
  readonly tensors: readonly StoredTensor[];
  /** Packed matrices that were dequantised to f16 while loading because their groups have no place in memory. */
  readonly dequantised: readonly { readonly name: string; readonly reason: string }[];
  /** Numbers of the model that are there, whatever they are stored in. */
  readonly parameters: number;
  /** Bytes of the files that belong to the model. */
  readonly bytes: number;
}

/** The files are not the tensors that config.json describes. `report` has all of it; the message names the first. */
export class CheckpointError extends ConfigError {
  override readonly name: string = 'CheckpointError';
  readonly report: LoadReport;

  constructor(message: string, report: LoadReport) {
    super(message);
    this.report = report;
  }
}

const SHOWN = 3;

const listed = (names: readonly string[]): string =>
  names.slice(0, SHOWN).join(', ') + (names.length > SHOWN ? ', …' : '');

/** @throws CheckpointError when a tensor is missing or is not what the model needs */
export function requireComplete(report: LoadReport, location: string): void {
  const { missing, mismatched, loaded } = report;
  const total = loaded + missing.length + mismatched.length;
  const problems = [
    ...(missing.length > 0 ? [`${missing.length} of ${total} tensors are missing (${listed(missing)})`] : []),
    ...(mismatched.length > 0
      ? [
          `${mismatched.length} of ${total} tensors do not fit config.json (${mismatched
            .slice(0, SHOWN)
            .map(({ name, problem }) => `${name}: ${problem}`)
            .join('; ')}${mismatched.length > SHOWN ? '; …' : ''})`,
        ]
      : []),
  ];
  if (problems.length === 0) return;
  throw new CheckpointError(
    `${location}: ${problems.join('; ')}; take weights and config.json from one checkpoint, and all of its shards`,
    report,
  );
}
