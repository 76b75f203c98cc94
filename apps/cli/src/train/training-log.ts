/**
 * log.jsonl of a run: one line per optimiser step and per validation, appended as they happen.
 *
 * A run that resumes cuts off what was logged after its checkpoint, since it will do those steps again; so the log never
 * holds a step twice. A line that does not fit on the disk is taken back.
 */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { writeFileAtomic } from '@mindseye/tensor-core/node';
import { CommandError } from '../shared/errors.js';

export interface StepLine {
  readonly kind: 'step';
  readonly stage: string;
  readonly epoch: number;
  readonly step: number;
  readonly globalStep: number;
  readonly loss: number;
  readonly learningRate: number;
  readonly gradientNorm: number;
}

export interface ValidationLine {
  readonly kind: 'validation';
  readonly stage: string;
  readonly epoch: number;
  readonly globalStep: number;
  readonly condition: string;
  readonly samples: number;
  readonly accuracy: number;
}

export type LogLine = StepLine | ValidationLine;

export class TrainingLog {
  readonly #handle: FileHandle;
  readonly #lines: LogLine[];
  #size: number;

  private constructor(handle: FileHandle, lines: LogLine[], size: number) {
    this.#handle = handle;
    this.#lines = lines;
    this.#size = size;
  }

  /** Opens the log with the lines of the first `steps` optimiser steps; 0 starts it afresh. */
  static async open(file: string, steps: number): Promise<TrainingLog> {
    const lines = steps === 0 ? [] : (await readLines(file)).filter(({ globalStep }) => globalStep <= steps);
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
    await writeFileAtomic(file, text);
    return new TrainingLog(await open(file, 'r+'), lines, Buffer.byteLength(text));
  }

  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  async append(line: LogLine): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    try {
      for (let written = 0; written < bytes.length;) {
        written += (await this.#handle.write(bytes, written, bytes.length - written, this.#size + written))
          .bytesWritten;
      }
    } catch (error) {
      await this.#handle.truncate(this.#size);
      throw error;
    }
    this.#size += bytes.length;
    this.#lines.push(line);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

async function readLines(file: string): Promise<LogLine[]> {
  const whole = (await readFile(file, 'utf8')).split('\n').slice(0, -1);
  return whole.map((text, i) => {
    try {
      const line = JSON.parse(text) as LogLine;
      if (typeof line.globalStep === 'number') return line;
    } catch {
      // Told below, as a line of JSON without a step is.
    }
    throw new CommandError(`${file}, line ${i + 1}: not a line of a training log; start the run afresh with --force`);
  });
}
