/**
 * Assembles a WebAssembly module (specification, section 5.5): function types, one imported memory, functions, one function
 * table, exports and function names. The memory is always imported, as `env.memory`, so that the caller owns it and several
 * modules can share it; functions of the caller may be imported beside it.
 */
import { FunctionBuilder, localVariable } from './function-builder.js';
import { unsignedLeb128 } from './leb128.js';
import { VALUE_TYPE_CODE } from './types.js';
import type { FunctionReference, Local, Parameters, ValueType } from './types.js';

const SECTION = { custom: 0, type: 1, import: 2, function: 3, table: 4, export: 7, element: 9, code: 10 } as const;
const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00] as const;
const FUNCTION_TYPE = 0x60;
const FUNCTION_REFERENCE_TYPE = 0x70;
/** 4 GiB, all that a 32-bit address reaches; a shared memory must declare a limit at least as large as the real one. */
const MAXIMUM_PAGES = 65_536;

/** A function's signature and whether JavaScript sees it. */
export interface FunctionSignature<P extends Parameters, R extends ValueType | 'void'> {
  readonly name: string;
  readonly parameters: P;
  readonly result: R;
  readonly exported: boolean;
}

/** Parameters as variables of the body. */
export type ParameterLocals<P extends Parameters> = { readonly [K in keyof P]: Local<P[K]> };

export interface ModuleOptions {
  readonly sharedMemory?: boolean;
  readonly label?: string | undefined;
  /** Names of the imported memories, in the order of their indices; one, `memory`, when left out. */
  readonly memories?: readonly string[];
}

/** A WebAssembly module under construction. */
export class ModuleBuilder {
  readonly #sharedMemory: boolean;
  readonly #label: string | undefined;
  readonly #memories: readonly string[];
  /** Function types in the order of their numbers, by what they take and give. */
  readonly #types = new Map<string, Bytes>();
  readonly #typeIndices = new Map<string, number>();
  readonly #imports: { name: string; typeIndex: number }[] = [];
  readonly #functions: { name: string; typeIndex: number; exported: boolean; body: Bytes }[] = [];
  readonly #exported = new Set<string>();
  readonly #table: number[] = [];

  /**
   * @param options.sharedMemory whether the imported memory is shared between threads.
   * @param options.label makes the bytes differ from those of the same module with another label: V8 compiles equal bytes
   * once, with the switches of the first time.
   */
  constructor({ sharedMemory = false, label, memories = ['memory'] }: ModuleOptions = {}) {
    this.#sharedMemory = sharedMemory;
    this.#memories = memories;
    this.#label = label;
  }

  /** Declares a function that the caller gives as `env.<name>`. Imports are numbered first: declare them before functions. */
  import<R extends ValueType | 'void'>(
    name: string,
    parameters: readonly ValueType[],
    result: R,
  ): FunctionReference<R> {
    if (this.#functions.length > 0) throw new Error(`ModuleBuilder: import "${name}" before adding functions`);
    const typeIndex = this.#typeIndex(parameters, result);
    this.#imports.push({ name, typeIndex });
    return { name, index: this.#imports.length - 1, typeIndex, parameters, result };
  }

  /** Adds a function whose body is written by `write`. */
  function<P extends Parameters, R extends ValueType | 'void'>(
    signature: FunctionSignature<P, R>,
    write: (body: FunctionBuilder, parameters: ParameterLocals<P>) => void,
  ): FunctionReference<R> {
    const { name, result, exported } = signature;
    if (exported && this.#exported.has(name)) {
      throw new Error(`ModuleBuilder: the module already has an export "${name}"`);
    }
    const entries = Object.entries(signature.parameters);
    const parameters = entries.map(([, type]) => type);
    const body = new FunctionBuilder(name, entries.length);
    const locals = entries.map(([key, type], index) => [key, localVariable(type, key, index)] as const);
    write(body, Object.fromEntries(locals) as ParameterLocals<P>);
    const typeIndex = this.#typeIndex(parameters, result);
    if (exported) this.#exported.add(name);
    // The code after the last `return` of a function with a result must still validate, hence the trailing unreachable.
    this.#functions.push({
      name,
      typeIndex,
      exported,
      body: body.encode(result === 'void' ? 'fallthrough' : 'unreachable'),
    });
    return { name, index: this.#imports.length + this.#functions.length - 1, typeIndex, parameters, result };
  }

  /** Appends functions to the function table and returns the table index of the first. */
  table(functions: readonly FunctionReference[]): number {
    const first = this.#table.length;
    this.#table.push(...functions.map((reference) => reference.index));
    return first;
  }

  /** The module in the binary format. */
  encode(): Uint8Array<ArrayBuffer> {
    const types = [...this.#types.values()];
    const exported = this.#functions.flatMap((entry, index) =>
      entry.exported ? [[...nameBytes(entry.name), 0x00, ...unsignedLeb128(this.#imports.length + index)]] : [],
    );
    const imports = this.#imports.map(({ name, typeIndex }) => [
      ...nameBytes('env'),
      ...nameBytes(name),
      0x00,
      ...unsignedLeb128(typeIndex),
    ]);
    const limits = this.#sharedMemory ? [0x03, 0, ...unsignedLeb128(MAXIMUM_PAGES)] : [0x00, 0];
    const memories = this.#memories.map((name) => [...nameBytes('env'), ...nameBytes(name), 0x02, ...limits]);
    const tableLimits = [0x00, ...unsignedLeb128(this.#table.length)];
    const elements = concatenate([[0x00, 0x41, 0x00, 0x0b], vector(this.#table.map((index) => unsignedLeb128(index)))]);
    const hasTable = this.#table.length > 0;
    return concatenate([
      HEADER,
      section(SECTION.type, vector(types)),
      section(SECTION.import, vector([...memories, ...imports])),
      section(SECTION.function, vector(this.#functions.map((entry) => unsignedLeb128(entry.typeIndex)))),
      hasTable ? section(SECTION.table, vector([[FUNCTION_REFERENCE_TYPE, ...tableLimits]])) : [],
      section(SECTION.export, vector(exported)),
      hasTable ? section(SECTION.element, vector([elements])) : [],
      section(SECTION.code, vector(this.#functions.map((entry) => entry.body))),
      section(SECTION.custom, this.#nameSection()),
      this.#label === undefined
        ? []
        : section(SECTION.custom, concatenate([nameBytes('label'), nameBytes(this.#label)])),
    ]);
  }

  #typeIndex(parameters: readonly ValueType[], result: ValueType | 'void'): number {
    const key = `${parameters.join()}>${result}`;
    const known = this.#typeIndices.get(key);
    if (known !== undefined) return known;
    const results = result === 'void' ? [] : [VALUE_TYPE_CODE[result]];
    const codes = parameters.map((type) => VALUE_TYPE_CODE[type]);
    const counts = [unsignedLeb128(codes.length), unsignedLeb128(results.length)] as const;
    this.#types.set(key, [FUNCTION_TYPE, ...counts[0], ...codes, ...counts[1], ...results]);
    this.#typeIndices.set(key, this.#typeIndices.size);
    return this.#typeIndices.size - 1;
  }

  /** Function names, which stack traces and profilers show (specification, appendix A.4). */
  #nameSection(): Bytes {
    const functionNames = 1;
    const all = [...this.#imports, ...this.#functions];
    const names = vector(all.map((entry, index) => [...unsignedLeb128(index), ...nameBytes(entry.name)]));
    return concatenate([nameBytes('name'), [functionNames], unsignedLeb128(names.length), names]);
  }
}

/** A function body or section; joined by `concatenate`, since spreading whole modules costs milliseconds. */
type Bytes = ArrayLike<number>;

function concatenate(parts: readonly Bytes[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function vector(items: readonly Bytes[]): Bytes {
  return concatenate([unsignedLeb128(items.length), ...items]);
}

function section(id: number, content: Bytes): Bytes {
  return concatenate([[id], unsignedLeb128(content.length), content]);
}

function nameBytes(name: string): number[] {
  const bytes = new TextEncoder().encode(name);
  return [...unsignedLeb128(bytes.length), ...bytes];
}
