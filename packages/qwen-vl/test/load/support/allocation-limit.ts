/** Counts the bytes that typed arrays and array buffers are made with while something runs. */
const watched = ['ArrayBuffer', 'Float32Array', 'Float64Array', 'Uint32Array', 'Uint16Array', 'Uint8Array'] as const;

type Constructor = new (...args: never[]) => object;

/** Bytes of one allocation: constructors given a length make memory, those given a buffer only look at it. */
const bytesFor = (constructor: { readonly BYTES_PER_ELEMENT?: number }, [length]: readonly unknown[]): number =>
  typeof length === 'number' ? length * (constructor.BYTES_PER_ELEMENT ?? 1) : 0;

/** Runs `act` and gives the largest single allocation in it, or what it threw. Not for two at a time. */
export async function largestAllocation(act: () => Promise<void>): Promise<{ bytes: number; error: unknown }> {
  const globals = globalThis as unknown as Record<string, Constructor>;
  const originals = watched.map((name) => [name, globals[name]!] as const);
  let bytes = 0;
  for (const [name, original] of originals) {
    globals[name] = new Proxy(original, {
      construct(target, args: never[], newTarget) {
        bytes = Math.max(bytes, bytesFor(target as { BYTES_PER_ELEMENT?: number }, args));
        return Reflect.construct(target, args, newTarget as Constructor) as object;
      },
    });
  }
  try {
    await act();
    return { bytes, error: undefined };
  } catch (error) {
    return { bytes, error };
  } finally {
    for (const [name, original] of originals) globals[name] = original;
  }
}
