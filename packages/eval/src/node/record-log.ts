/**
 * Per-sample records in a JSONL file: the header first, then one record per line, appended as they come.
 *
 * A run that is killed, or whose disk fills up, can leave half a line at the end. Opening the file again cuts that half line
 * off and leaves every finished line as it is, byte for byte; the run then goes on from there.
 */
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { checkSameRun, parseHeader, parseRecord } from '../harness/record.js';
import type { RunHeader, SampleRecord } from '../harness/record.js';

/** Larger files are refused before they are read. */
const LARGEST_LOG_BYTES = 256 * 1024 * 1024;

/** A record file as it stands on disk. */
export interface RecordFile {
  readonly header: RunHeader;
  readonly records: readonly SampleRecord[];
  /** Bytes up to the end of the last whole line; what follows is half a line. */
  readonly wholeBytes: number;
}

/** An open record file. */
export interface RecordLog {
  /** The records that were there when the file was opened. */
  readonly records: readonly SampleRecord[];
  /** Appends a record; when the promise resolves, the operating system has it. */
  append(record: SampleRecord): Promise<void>;
  close(): Promise<void>;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const isMissing = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

/**
 * Reads a record file.
 *
 * @throws Error naming the file, the line and what is wrong with it. Half a last line is not wrong; half a header is.
 */
export async function readRecordFile(file: string): Promise<RecordFile> {
  const found = await stat(file);
  if (!found.isFile()) throw new Error(`${file} is not a regular file; name a file for the records`);
  const { size } = found;
  if (size > LARGEST_LOG_BYTES) {
    throw new Error(
      `${file} is ${size} bytes, more than the ${LARGEST_LOG_BYTES} a record file may have; split the run into shards`,
    );
  }
  const bytes = await readFile(file);
  const wholeBytes = bytes.lastIndexOf(0x0a) + 1;
  const lines = bytes.subarray(0, wholeBytes).toString('utf8').split('\n').slice(0, -1);
  const parsed = <T>(parse: (line: string) => T, line: string, number: number): T => {
    try {
      return parse(line);
    } catch (error) {
      throw new Error(
        `${file}, line ${number}: not a record of an evaluation (${messageOf(error)}); remove the file or give another`,
        {
          cause: error,
        },
      );
    }
  };
  const [first, ...rest] = lines;
  if (first === undefined) {
    throw new Error(
      `${file} has no whole line, so it is not the record file of an evaluation; remove it or give another`,
    );
  }
  const header = parsed(parseHeader, first, 1);
  const records = rest.map((line, place) => parsed(parseRecord, line, place + 2));
  return { header, records, wholeBytes };
}

/** Writes a file with only the header, whole or not at all. */
async function createRecordFile(file: string, header: RunHeader): Promise<void> {
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${process.pid}.tmp`);
  try {
    await writeFile(temporary, `${JSON.stringify(header)}\n`);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw new Error(`cannot write ${file}: ${messageOf(error)}; check that the folder exists and has space`, {
      cause: error,
    });
  }
}

/**
 * Opens `file` to resume or start the run that `header` describes. A file that is not there is created; one that is there must be
 * of the same run.
 *
 * @throws Error naming the file and the field in which its run differs, the line that is damaged, or why it cannot be written.
 */
export async function openRecordLog(file: string, header: RunHeader): Promise<RecordLog> {
  const existing = await readRecordFile(file).catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (existing === undefined) await createRecordFile(file, header);
  else checkSameRun(existing.header, header, file);

  const handle = await open(file, 'r+');
  let end = existing?.wholeBytes ?? (await handle.stat()).size;
  await handle.truncate(end);
  return {
    records: existing?.records ?? [],
    async append(record) {
      const line = Buffer.from(`${JSON.stringify(record)}\n`);
      try {
        for (let written = 0; written < line.length;) {
          const { bytesWritten } = await handle.write(line, written, line.length - written, end + written);
          written += bytesWritten;
        }
      } catch (error) {
        throw new Error(
          `cannot append to ${file}: ${messageOf(error)}; free some space and start again, finished samples are kept`,
          { cause: error },
        );
      }
      end += line.length;
    },
    close: () => handle.close(),
  };
}
