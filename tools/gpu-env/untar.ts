/**
 * Reads a ustar archive held in memory: as much of the format as the archives of @sparticuz/chromium use.
 *
 * An archive is a run of 512-byte blocks: a header (name at 0, octal size at 124, type at 156), then the file's bytes
 * padded to whole blocks. A header with an empty name ends it. Directories ('5') carry no bytes and are skipped, since
 * writing a file makes its folder; links and other types are refused rather than silently dropped.
 */
const BLOCK = 512;

export interface TarEntry {
  /** Path inside the archive, relative and without `..`. */
  readonly name: string;
  /** A view into the archive's buffer, not a copy. */
  readonly bytes: Uint8Array;
}

const field = (header: Uint8Array, from: number, to: number): string => {
  const bytes = header.subarray(from, to);
  const end = bytes.indexOf(0);
  return new TextDecoder('latin1').decode(end < 0 ? bytes : bytes.subarray(0, end));
};

/** Yields the files of `archive` in order; throws on a header it cannot trust. */
export function* untar(archive: Uint8Array): Generator<TarEntry> {
  for (let at = 0; at + BLOCK <= archive.length;) {
    const header = archive.subarray(at, at + BLOCK);
    const name = field(header, 0, 100);
    if (name === '') return;
    const size = Number.parseInt(field(header, 124, 136).trim(), 8);
    const type = field(header, 156, 157);
    const start = at + BLOCK;
    if (!Number.isInteger(size) || size < 0 || start + size > archive.length) {
      throw new Error(`tar entry "${name}": size ${size} does not fit an archive of ${archive.length} bytes`);
    }
    if (name.startsWith('/') || name.split('/').includes('..'))
      throw new Error(`tar entry "${name}" leaves its folder`);
    if (type === '' || type === '0') yield { name, bytes: archive.subarray(start, start + size) };
    else if (type !== '5') throw new Error(`tar entry "${name}": type "${type}" is not supported`);
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
}
