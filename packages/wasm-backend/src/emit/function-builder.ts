/**
 * Writes the body of one WebAssembly function: locals by name, structured blocks and loops, assignments and calls.
 * Control flow is given as TypeScript callbacks, so the nesting of the source is the nesting of the emitted blocks.
 */
import { Instruction, appendCode } from './instruction.js';
import { unsignedLeb128 } from './leb128.js';
import { operandOf } from './operands.js';
import { i32 } from './scalar-instructions.js';
import { VALUE_TYPE_CODE } from './types.js';
import type { Expression, FunctionReference, Label, Local, Operand, Statement, ValueType } from './types.js';

const OPCODE = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  branch: 0x0c,
  branchIf: 0x0d,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  localGet: 0x20,
  localSet: 0x21,
} as const;

const EMPTY_BLOCK_TYPE = 0x40;

/** Bounds of a counted loop: `for (index = from; index < below; index += step)`, compared as unsigned 32-bit. */
export interface LoopRange {
  readonly index: Local<'i32'>;
  readonly from: Operand<'i32'>;
  readonly below: Operand<'i32'>;
  readonly step: Operand<'i32'>;
}

/** The body of a function under construction; made by `ModuleBuilder.function`. */
export class FunctionBuilder {
  readonly #name: string;
  readonly #parameterCount: number;
  readonly #localTypes: ValueType[] = [];
  readonly #code: number[] = [];
  #depth = 0;

  /** @param name for error messages. @param parameterCount locals are numbered after the parameters. */
  constructor(name: string, parameterCount: number) {
    this.#name = name;
    this.#parameterCount = parameterCount;
  }

  /** Declares a local variable; it starts as zero. */
  local<T extends ValueType>(type: T, name: string): Local<T> {
    const index = this.#parameterCount + this.#localTypes.length;
    this.#localTypes.push(type);
    return localVariable(type, name, index);
  }

  /** Declares a local variable and assigns it here. */
  let<T extends ValueType>(name: string, value: Expression<T>): Local<T> {
    const variable = this.local(value.type, name);
    this.set(variable, value);
    return variable;
  }

  /** Assigns a variable. */
  set<T extends ValueType>(variable: Local<T>, value: Operand<T>): void {
    appendCode(this.#code, operandOf(variable.type, value));
    this.#code.push(OPCODE.localSet);
    this.#pushUnsigned(variable.index);
  }

  /** Executes statements such as stores. */
  do(...statements: readonly Statement[]): void {
    for (const statement of statements) appendCode(this.#code, statement);
  }

  /** Leaves the function, with its result if it has one. */
  return(value?: Expression): void {
    if (value) appendCode(this.#code, value);
    this.#code.push(OPCODE.return);
  }

  /** A block; branching to its label leaves it. */
  block(body: (exit: Label) => void): void {
    this.#nest(OPCODE.block, body);
  }

  /** A loop; branching to its label starts the next round, falling out of the body ends it. */
  loop(body: (again: Label) => void): void {
    this.#nest(OPCODE.loop, body);
  }

  /** A conditional. */
  if(condition: Operand<'i32'>, then: () => void, otherwise?: () => void): void {
    appendCode(this.#code, operandOf('i32', condition));
    this.#nest(OPCODE.if, () => {
      then();
      if (otherwise) {
        this.#code.push(OPCODE.else);
        otherwise();
      }
    });
  }

  /** Jumps to a label: out of a block or to the start of a loop. */
  branch(label: Label): void {
    this.#code.push(OPCODE.branch);
    this.#pushUnsigned(this.#distance(label));
  }

  /** Jumps to a label if the condition is not zero. */
  branchIf(label: Label, condition: Operand<'i32'>): void {
    appendCode(this.#code, operandOf('i32', condition));
    this.#code.push(OPCODE.branchIf);
    this.#pushUnsigned(this.#distance(label));
  }

  /** A counted loop, tested before the first round and then at the bottom. The bound is evaluated in every round. */
  for(range: LoopRange, body: () => void): void {
    const { index, from, below, step } = range;
    const condition = i32.ltUnsigned(index, below);
    this.set(index, from);
    this.if(condition, () => {
      this.loop((again) => {
        body();
        this.set(index, i32.add(index, step));
        this.branchIf(again, condition);
      });
    });
  }

  /** `while (counter >= step) { body; counter -= step }`, unsigned. */
  countDown(counter: Local<'i32'>, step: number, body: () => void): void {
    const enough = i32.geUnsigned(counter, step);
    this.if(enough, () => {
      this.loop((again) => {
        body();
        this.set(counter, i32.sub(counter, step));
        this.branchIf(again, enough);
      });
    });
  }

  /** Calls a function that returns a value. */
  call<R extends ValueType>(target: FunctionReference<R>, ...values: readonly Operand<ValueType>[]): Expression<R> {
    const code = this.#argumentsOf(target, values).map((value) => value.code);
    return { type: target.result, code: [...code, OPCODE.call, unsignedLeb128(target.index)] };
  }

  /** Calls a function that returns nothing. */
  callVoid(target: FunctionReference<'void'>, ...values: readonly Operand<ValueType>[]): void {
    for (const value of this.#argumentsOf(target, values)) appendCode(this.#code, value);
    this.#code.push(OPCODE.call);
    this.#pushUnsigned(target.index);
  }

  /**
   * Calls the function at `index` of the module's function table. All candidates must have the signature of `like`;
   * the engine traps on any other.
   */
  callIndirectVoid(
    like: FunctionReference<'void'>,
    index: Operand<'i32'>,
    ...values: readonly Operand<ValueType>[]
  ): void {
    for (const value of this.#argumentsOf(like, values)) appendCode(this.#code, value);
    appendCode(this.#code, operandOf('i32', index));
    this.#code.push(OPCODE.callIndirect, ...unsignedLeb128(like.typeIndex), 0);
  }

  /**
   * The body in the binary format: locals as runs of equal types, then code and `end`. Where a result is due, falling off
   * the end is an error that only `unreachable` makes valid.
   */
  encode(ending: 'fallthrough' | 'unreachable'): Uint8Array {
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#localTypes) {
      const last = runs.at(-1);
      if (last?.type === type) last.count += 1;
      else runs.push({ type, count: 1 });
    }
    const declarations = runs.flatMap((run) => [...unsignedLeb128(run.count), VALUE_TYPE_CODE[run.type]]);
    const head = [...unsignedLeb128(runs.length), ...declarations];
    const tail = ending === 'unreachable' ? [OPCODE.unreachable, OPCODE.end] : [OPCODE.end];
    const size = unsignedLeb128(head.length + this.#code.length + tail.length);
    const body = new Uint8Array(size.length + head.length + this.#code.length + tail.length);
    let at = 0;
    for (const part of [size, head, this.#code, tail]) {
      body.set(part, at);
      at += part.length;
    }
    return body;
  }

  #nest(opcode: number, body: (label: Label) => void): void {
    this.#code.push(opcode, EMPTY_BLOCK_TYPE);
    this.#depth += 1;
    body({ depth: this.#depth });
    this.#depth -= 1;
    this.#code.push(OPCODE.end);
  }

  #distance(label: Label): number {
    if (label.depth > this.#depth) throw new RangeError(`${this.#name}: branch to a block that is already closed`);
    return this.#depth - label.depth;
  }

  #pushUnsigned(value: number): void {
    if (value < 0x80) this.#code.push(value);
    else this.#code.push(...unsignedLeb128(value));
  }

  #argumentsOf(target: FunctionReference, values: readonly Operand<ValueType>[]): Expression[] {
    if (values.length !== target.parameters.length) {
      throw new TypeError(
        `${this.#name}: ${target.name} takes ${target.parameters.length} arguments, got ${values.length}`,
      );
    }
    return target.parameters.map((type, i) => {
      const value = values[i] as Operand<ValueType>;
      if (typeof value !== 'number' && value.type !== type) {
        throw new TypeError(`${this.#name}: argument ${i} of ${target.name} is ${type}, got ${value.type}`);
      }
      return operandOf(type, value);
    });
  }
}

class Variable<T extends ValueType> extends Instruction<T> implements Local<T> {
  readonly name: string;
  readonly index: number;

  constructor(type: T, name: string, index: number) {
    super(type, localGet(index));
    this.name = name;
    this.index = index;
  }
}

/** The bytes that read the variable of an index: one byte of index in most functions, so that they are shared. */
const SHORT_GETS: readonly (readonly number[])[] = Array.from({ length: 0x80 }, (_, index) => [OPCODE.localGet, index]);
const localGet = (index: number): readonly number[] => SHORT_GETS[index] ?? [OPCODE.localGet, ...unsignedLeb128(index)];

/** A variable by its index; parameters come before locals. */
export function localVariable<T extends ValueType>(type: T, name: string, index: number): Local<T> {
  return new Variable(type, name, index);
}
