/**
 * What a template may cost: a count of work that every value it makes is charged to.
 *
 * The unit is about a nanosecond. A character costs one; an entry of a list or mapping costs 256, since loops make a scope for
 * each. A container that is new is charged with everything inside it, one seen before only with its own entries. Lists share
 * their parts, so sixty lines can spell a list of 2^60 entries; its size as text is known from its parts and bounded, and so is
 * its depth.
 */

const MAX_WORK = 2 ** 27;
/** Largest string, and largest container written as text, in characters; the tokenizer takes no longer text either. */
const MAX_SIZE = 2 ** 21;
const MAX_ENTRIES = 2 ** 16;
const MAX_DEPTH = 64;
const ENTRY_WORK = 256;

/** A value of @huggingface/jinja: a string, number, list, mapping, function, and so on. */
export interface RuntimeValue {
  readonly type?: string;
  value?: unknown;
}

export class TemplateLimitError extends Error {
  override readonly name = 'TemplateLimitError';
}

interface Extent {
  /** Characters in all of it, and one for each entry. */
  readonly size: number;
  /** Containers inside each other. */
  readonly depth: number;
}

const isContainer = ({ value }: RuntimeValue): boolean => Array.isArray(value) || value instanceof Map;
const textSize = ({ value }: RuntimeValue): number => (typeof value === 'string' ? value.length : 0);

function childrenOf({ value }: RuntimeValue): Iterable<RuntimeValue> {
  return Array.isArray(value) ? (value as RuntimeValue[]) : (value as Map<string, RuntimeValue>).values();
}

const entriesOf = ({ value }: RuntimeValue): number =>
  Array.isArray(value) ? value.length : (value as Map<string, RuntimeValue>).size;

const keySize = (map: ReadonlyMap<unknown, unknown>): number => {
  let size = 0;
  for (const key of map.keys()) size += String(key).length;
  return size;
};

export class TemplateBudget {
  #work = 0;
  readonly #extents = new WeakMap<RuntimeValue, Extent>();

  /** @throws TemplateLimitError when all work is used up */
  charge(work: number): void {
    this.#work += work;
    if (this.#work > MAX_WORK) throw new TemplateLimitError('it does too much work');
  }

  /**
   * Charges a value that an expression gave.
   * @throws TemplateLimitError when the value is too large, too deep, or the work is used up
   */
  take(value: RuntimeValue): void {
    if (!isContainer(value)) {
      if (textSize(value) > MAX_SIZE)
        throw new TemplateLimitError(`it builds a value of more than ${MAX_SIZE} characters`);
      this.charge(textSize(value));
      return;
    }
    const entries = entriesOf(value);
    if (entries > MAX_ENTRIES)
      throw new TemplateLimitError(`it builds a list or mapping of more than ${MAX_ENTRIES} entries`);
    const known = this.#extents.has(value);
    const { size, depth } = this.#extent(value, 0);
    if (size > MAX_SIZE) throw new TemplateLimitError(`it builds a value of more than ${MAX_SIZE} characters`);
    if (depth > MAX_DEPTH) throw new TemplateLimitError(`it nests values more than ${MAX_DEPTH} deep`);
    this.charge(entries * ENTRY_WORK + (known ? 0 : size));
  }

  /** Characters in all of a value, and one for each entry. */
  sizeOf(value: RuntimeValue): number {
    return this.#extent(value, 0).size;
  }

  /** The extent of a value. That of a namespace, the only one that can change, is never remembered. */
  #extent(value: RuntimeValue, level: number): Extent {
    if (!isContainer(value)) return { size: textSize(value), depth: 0 };
    const known = this.#extents.get(value);
    if (known !== undefined) return known;
    if (level > MAX_DEPTH) throw new TemplateLimitError(`it nests values more than ${MAX_DEPTH} deep`);
    let [size, depth] = [value.value instanceof Map ? keySize(value.value) : 0, 0];
    for (const child of childrenOf(value)) {
      if (child.type === 'NamespaceValue') throw new TemplateLimitError('it puts a namespace inside another value');
      const inner = this.#extent(child, level + 1);
      size += inner.size + 1;
      depth = Math.max(depth, inner.depth);
    }
    const extent = { size, depth: depth + 1 };
    if (value.type !== 'NamespaceValue') this.#extents.set(value, extent);
    return extent;
  }
}
