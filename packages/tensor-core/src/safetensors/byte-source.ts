/**
 * Random access to bytes that are somewhere else: memory, a browser `Blob` or `File`, a file on disk (`node/file-byte-source.ts`).
 *
 * Memory contract: a read allocates only what is asked for, and the array it gives belongs to the caller.
 */
export interface ByteSource {
  /** Bytes in all. */
  readonly size: number;
  /** Exactly `length` bytes from `offset`, in memory the caller may keep and change. Rejects when they are not all there. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `target` with the bytes from `offset`, without allocating. Optional: without it `read` is used and copied. */
  readInto?(offset: number, target: Uint8Array): Promise<void>;
  /** Gives back what the source holds open, if anything. */
  close?(): Promise<void>;
}

/** The part of `Blob` that is used, so that any slice-able object serves. */
export interface BlobLike {
  readonly size: number;
  slice(start: number, end: number): { arrayBuffer(): Promise<ArrayBuffer> };
}

function requireRange(offset: number, length: number, size: number): void {
  if (
    !Number.isSafeInteger(offset) ||
    !Number.isSafeInteger(length) ||
    offset < 0 ||
    length < 0 ||
    offset > size - length
  ) {
    throw new RangeError(`byte range ${offset} + ${length} is outside the ${size} bytes of the source`);
  }
}

/** A byte source on memory. Reads are copies, so nobody's changes show through. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    async read(offset, length) {
      requireRange(offset, length, bytes.length);
      return Uint8Array.from(bytes.subarray(offset, offset + length));
    },
    async readInto(offset, target) {
      requireRange(offset, target.length, bytes.length);
      target.set(bytes.subarray(offset, offset + target.length));
    },
  };
}

/** A byte source on a `Blob` or `File`; only the asked range is loaded. */
export function blobSource(blob: BlobLike): ByteSource {
  return {
    size: blob.size,
    async read(offset, length) {
      requireRange(offset, length, blob.size);
      return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
    },
  };
}

/**
 * Fills `target` from any source.
 * @throws RangeError when the source gives another number of bytes than asked.
 */
export async function readInto(source: ByteSource, offset: number, target: Uint8Array): Promise<void> {
  if (source.readInto) return source.readInto(offset, target);
  const bytes = await source.read(offset, target.length);
  if (bytes.length !== target.length)
    throw new RangeError(`asked for ${target.length} bytes at ${offset}, got ${bytes.length}`);
  target.set(bytes);
}
