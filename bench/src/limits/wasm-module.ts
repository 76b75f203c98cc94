/**
 * WebAssembly modules of single loops, written byte by byte: what the machine can do at most is measured by code that shares
 * nothing with the kernels that it is the measure of.
 *
 * Each function takes i32 parameters and returns nothing; its locals are v128. The module exports its functions by name, and
 * its memory as `memory`. Encoding: webassembly.github.io/spec, binary format.
 */
import { setFlagsFromString } from 'node:v8';
import { varint } from '../varint.ts';

export interface LoopFunction {
  readonly name: string;
  /** How many i32 parameters; they are locals 0, 1, … */
  readonly parameters: number;
  /** How many v128 locals; they follow the parameters. */
  readonly vectors: number;
  readonly body: readonly number[];
}

export interface LoopModule {
  readonly memory: WebAssembly.Memory;
  /** Calls a function by its name. */
  readonly call: (name: string, ...values: number[]) => void;
}

const [I32, V128, FUNCTION_TYPE, VOID_BLOCK, END] = [0x7f, 0x7b, 0x60, 0x40, 0x0b];
const PAGE = 65_536;

const vector = (opcode: number): number[] => [0xfd, ...varint(opcode)];
/** Alignment of 2^2 bytes suits every access here; the offset is in bytes. */
const access = (opcode: number, offset: number): number[] => [...vector(opcode), 2, ...varint(offset)];

/** Signed LEB128 of an i32 constant. */
function signed(value: number): number[] {
  const [low, rest] = [value & 127, value >> 7];
  const isLast = (rest === 0 && low < 64) || (rest === -1 && low >= 64);
  return isLast ? [low] : [low | 128, ...signed(rest)];
}

export const code = {
  get: (local: number): number[] => [0x20, ...varint(local)],
  set: (local: number): number[] => [0x21, ...varint(local)],
  constant: (value: number): number[] => [0x41, ...signed(value)],
  addI32: [0x6a],
  subtractI32: [0x6b],
  load: (offset: number): number[] => access(0x00, offset),
  loadSplat32: (offset: number): number[] => access(0x09, offset),
  store: (offset: number): number[] => access(0x0b, offset),
  addI32x4: vector(0xae),
  /** a · b + c, rounded once where the hardware fuses. */
  relaxedMultiplyAdd: vector(0x105),
  copyMemory: [0xfc, 0x0a, 0, 0],
} as const;

/** Runs the body as often as i32 local `counter` says, which is once or more; the counter ends at 0. */
export const repeat = (counter: number, body: readonly number[]): number[] => [
  0x03,
  VOID_BLOCK,
  ...body,
  ...code.get(counter),
  ...code.constant(1),
  ...code.subtractI32,
  0x22,
  ...varint(counter),
  0x0d,
  0,
  END,
];

const list = (items: readonly (readonly number[])[]): number[] => [...varint(items.length), ...items.flat()];
const section = (id: number, items: readonly (readonly number[])[]): number[] => {
  const content = list(items);
  return [id, ...varint(content.length), ...content];
};
const named = (name: string): number[] => [...varint(name.length), ...new TextEncoder().encode(name)];

function functionBody({ vectors, body }: LoopFunction): number[] {
  const content = [...list([[...varint(vectors), V128]]), ...body, END];
  return [...varint(content.length), ...content];
}

/** Over so many bytes of memory, in whole pages. */
function encode(functions: readonly LoopFunction[], bytes: number): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters }) => [
    FUNCTION_TYPE,
    ...list(Array.from({ length: parameters }, () => [I32])),
    0,
  ]);
  const memory = [0, ...varint(Math.ceil(bytes / PAGE))];
  const exported = functions.map(({ name }, i) => [...named(name), 0, ...varint(i)]);
  return Uint8Array.from([
    0x00,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, types),
    ...section(
      3,
      functions.map((_, i) => varint(i)),
    ),
    ...section(5, [memory]),
    ...section(7, [...exported, [...named('memory'), 2, 0]]),
    ...section(10, functions.map(functionBody)),
  ]);
}

export interface CompileSettings {
  /** Lets V8 turn pairs of 128-bit instructions into 256-bit ones, where this version and this processor can. */
  readonly pairs: boolean;
}

/** V8's options for pairs: its optimising compiler at once, because only that one looks for them. */
const PAIRING = ['experimental-wasm-revectorize', 'no-liftoff', 'no-wasm-lazy-compilation'];

/** Compiled over a memory of its own of so many bytes. */
export function compileLoops(
  functions: readonly LoopFunction[],
  bytes: number,
  { pairs }: CompileSettings = { pairs: false },
): LoopModule {
  if (pairs) for (const flag of PAIRING) setFlagsFromString(`--${flag}`);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(encode(functions, bytes)));
  return {
    memory: instance.exports['memory'] as WebAssembly.Memory,
    call: (name, ...values) => (instance.exports[name] as (...values: number[]) => void)(...values),
  };
}
