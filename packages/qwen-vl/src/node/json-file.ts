/** JSON and text files of a checkpoint folder: bounded in size, and every failure in one line that names the file. */
import { open } from 'node:fs/promises';
import { ModelFolderError, oneLine } from '../errors.js';

/**
 * Reads a text file as UTF-8.
 * @param maxBytes refuse files above this size before reading them
 * @throws ModelFolderError naming the path: missing, not a file, too large, not UTF-8
 */
export async function readTextFile(path: string, maxBytes: number): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw new ModelFolderError(`${path}: not a file`);
      if (stats.size > maxBytes) {
        throw new ModelFolderError(
          `${path}: the file has ${stats.size} bytes, above the limit of ${maxBytes} for this kind of file; it is not what its name says`,
        );
      }
      return new TextDecoder('utf-8', { fatal: true }).decode(await file.readFile());
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof ModelFolderError) throw error;
    if (error instanceof TypeError) {
      throw new ModelFolderError(`${path}: the file is not UTF-8 text; download it again`, { cause: error });
    }
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const reason = error instanceof Error ? error.message : String(error);
    throw new ModelFolderError(
      missing ? `${path}: no such file; check the path` : `${path}: cannot be read (${reason})`,
      {
        cause: error,
      },
    );
  }
}

/** Reads a JSON file. @throws ModelFolderError as `readTextFile`, or if it is not JSON */
export async function readJsonFile(path: string, maxBytes: number): Promise<unknown> {
  const text = await readTextFile(path, maxBytes);
  try {
    return JSON.parse(text);
  } catch (error) {
    const reason = oneLine(error instanceof Error ? error.message : String(error), 120);
    throw new ModelFolderError(`${path}: not valid JSON (${reason}); download the file again`, { cause: error });
  }
}
