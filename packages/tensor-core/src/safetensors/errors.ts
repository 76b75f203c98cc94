/** What went wrong with a safetensors file, as one word for programs; the message says it for people. */
export type SafetensorsErrorCode =
  | 'truncated' // the file ends before what its header promises
  | 'header' // the header is not UTF-8, not JSON, or not of the form the format asks for
  | 'limit' // something is larger than a reader should take from a stranger
  | 'name' // a tensor or metadata name that is duplicate, reserved or unsafe
  | 'dtype' // an element type this library does not know, or cannot convert
  | 'shape' // shape, dtype and byte count disagree
  | 'offsets' // data ranges overlap, leave holes or run out of the file
  | 'missing' // no such tensor or file
  | 'index' // the index of a sharded checkpoint is malformed or lies
  | 'entry' // a tensor given to the writer is not writable as declared
  | 'target' // a caller's buffer has the wrong size
  | 'read'; // the byte source failed

/** What a `SafetensorsError` is made of. `problem` and `cure` are joined into the one-line message. */
export interface SafetensorsErrorDetails {
  readonly code: SafetensorsErrorCode;
  /** File (or data) name as the caller gave it. */
  readonly file: string;
  readonly tensor?: string;
  /** What is wrong, with the values. */
  readonly problem: string;
  /** What the reader of the message can do. */
  readonly cure: string;
  readonly cause?: unknown;
}

/** A safetensors file that cannot be read or written. The message is one line: file, tensor, what is wrong, what to do. */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
  readonly code: SafetensorsErrorCode;
  readonly file: string;
  readonly tensor: string | undefined;

  constructor({ code, file, tensor, problem, cure, cause }: SafetensorsErrorDetails) {
    const where = tensor === undefined ? '' : `tensor ${quote(tensor)}: `;
    super(`${oneLine(file)}: ${where}${problem}; ${cure}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.file = file;
    this.tensor = tensor;
  }
}

const SHOWN_CHARACTERS = 120;

/** Text from outside in quotes, escaped and shortened so that a message stays one readable line. */
export function quote(text: string): string {
  const shown = text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
  return oneLine(JSON.stringify(shown));
}

/** Text with control and line-separator characters escaped, for file names inside messages. */
export function oneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
