/**
 * Renders a Jinja template within bounds.
 *
 * A chat template comes out of a downloaded folder and is a program: loops can be nested and values doubled. The interpreter
 * of @huggingface/jinja evaluates every node through one method, which is overridden here to count steps and to charge what
 * each node gives (`TemplateBudget`). Operations that make more than their operands (`replace`, `indent`, `join`, `tojson`)
 * only take small arguments, so that nothing large exists before it is looked at. Nothing of the host is reachable from a
 * template: the variables are plain data, and the functions are `range` (bounded) and `raise_exception`.
 */
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { TemplateBudget, TemplateLimitError, type RuntimeValue } from './template-budget.js';

const MAX_TEMPLATE_LENGTH = 2 ** 18;
/** The library's lexer takes quadratic time over a run of whitespace; real templates indent by tens. */
const MAX_WHITESPACE_RUN = 1000;
const MAX_STEPS = 500_000;
/** Nodes inside each other while they are evaluated; macros that call themselves count. */
const MAX_NESTING = 500;
const MAX_RANGE = 10_000;
/** Filters and methods whose result can be longer than what goes in by a factor, and the most their arguments may say. */
const AMPLIFYING: ReadonlySet<unknown> = new Set(['replace', 'indent', 'join', 'tojson']);
const MAX_ARGUMENT = 64;
/** Filters that look at everything inside a list, and may give little of it. */
const SEARCHING: ReadonlySet<unknown> = new Set(['sort', 'unique', 'selectattr', 'rejectattr']);

/** The library makes a list of a text's characters to slice it, and looks through a macro's body whenever it is defined. */
const SLICE_WORK = 32;
const MACRO_WORK = 8;

/** The parts of the library that are used; its published types do not resolve in strict module resolution. */
interface TemplateEnvironment {
  set(name: string, value: unknown): unknown;
}
interface TemplateInterpreter {
  run(program: unknown): RuntimeValue;
  evaluate(node: unknown, environment: unknown): RuntimeValue;
}
const TypedInterpreter: new (environment: TemplateEnvironment) => TemplateInterpreter = Interpreter;

/** The fields of a node that are looked at; what a node has depends on its type. */
interface TemplateNode {
  readonly type: string;
  /** What a filter is applied to. */
  readonly operand?: TemplateNode;
  /** A filter's name, or a call of it. */
  readonly filter?: {
    readonly value?: unknown;
    readonly callee?: TemplateNode;
    readonly args?: readonly TemplateNode[];
  };
  readonly operator?: { readonly value: string };
  readonly left?: TemplateNode;
  readonly right?: TemplateNode;
  /** What is taken of an object, and whether it is an expression. */
  readonly object?: TemplateNode;
  readonly property?: TemplateNode;
  readonly computed?: boolean;
  /** Of an identifier its name, of a keyword argument its value. */
  readonly value?: unknown;
  /** Of a spread argument. */
  readonly argument?: TemplateNode;
}

/** A parsed template. */
export interface TemplateProgram {
  readonly root: unknown;
  /** Characters of its source. */
  readonly length: number;
}

class BoundedInterpreter extends TypedInterpreter {
  readonly #budget = new TemplateBudget();
  readonly #macroWork: number;
  /** Nodes whose values are arguments of filters. */
  readonly #arguments = new WeakSet<object>();
  /** Nodes whose values are looked at as a whole by what they are part of, and how much work that is per character. */
  readonly #operands = new WeakMap<object, number>();
  readonly #guarded = new WeakSet<object>();
  #steps = 0;
  #nesting = 0;

  constructor(environment: TemplateEnvironment, macroWork: number) {
    super(environment);
    this.#macroWork = macroWork;
  }

  override evaluate(node: TemplateNode | undefined, environment: unknown): RuntimeValue {
    if (++this.#steps > MAX_STEPS) throw new TemplateLimitError(`it takes more than ${MAX_STEPS} steps`);
    if (++this.#nesting > MAX_NESTING) throw new TemplateLimitError(`it is nested more than ${MAX_NESTING} deep`);
    try {
      if (node !== undefined) this.#prepare(node);
      // Of an empty list's first entry the library gives nothing, of no node the undefined value.
      const given: RuntimeValue | undefined = super.evaluate(node, environment);
      const result = given ?? super.evaluate(undefined, environment);
      this.#budget.take(result);
      if (node === undefined) return result;
      const perCharacter = this.#operands.get(node);
      if (perCharacter !== undefined) this.#budget.charge(perCharacter * this.#budget.sizeOf(result));
      if (this.#arguments.has(node)) this.#checkArgument(result);
      const isMethod = node.type === 'MemberExpression' && typeof result.value === 'function';
      if (isMethod && (node.computed === true || AMPLIFYING.has(node.property?.value))) this.#guard(result);
      return result;
    } finally {
      this.#nesting--;
    }
  }

  /** Marks the nodes below this one whose values need a closer look. */
  #prepare(node: TemplateNode): void {
    if (node.type === 'Macro' || node.type === 'CallStatement') this.#budget.charge(this.#macroWork);
    const filter = node.filter?.callee?.value ?? node.filter?.value;
    if (SEARCHING.has(filter) && node.operand !== undefined) this.#operands.set(node.operand, 1);
    if (node.operator?.value === '==' || node.operator?.value === '!=') {
      for (const side of [node.left, node.right]) if (side !== undefined) this.#operands.set(side, 1);
    }
    if (node.property?.type === 'SliceExpression' && node.object !== undefined) {
      this.#operands.set(node.object, SLICE_WORK);
    }
    if (!AMPLIFYING.has(filter)) return;
    for (const argument of node.filter?.args ?? []) {
      const value = argument.type === 'KeywordArgumentExpression' ? (argument.value as TemplateNode) : argument;
      this.#arguments.add(value.argument ?? value);
    }
  }

  /** A method such as `text.replace`: its arguments must be small wherever it is called. */
  #guard(method: RuntimeValue): void {
    if (this.#guarded.has(method)) return;
    this.#guarded.add(method);
    const call = method.value as (values: RuntimeValue[], scope: unknown) => RuntimeValue;
    method.value = (values: RuntimeValue[], scope: unknown): RuntimeValue => {
      for (const value of values) this.#checkArgument(value);
      return call(values, scope);
    };
  }

  #checkArgument(argument: RuntimeValue): void {
    const small = typeof argument.value === 'number' ? Math.abs(argument.value) : this.#budget.sizeOf(argument);
    if (small <= MAX_ARGUMENT) return;
    const names = [...AMPLIFYING].join(', ');
    throw new TemplateLimitError(`it gives one of ${names} a number or a text above ${MAX_ARGUMENT}`);
  }
}

/** Python's `range`, refusing lists that are longer than any conversation. */
function range(first: number, second?: number, step: number = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_RANGE)) throw new TemplateLimitError(`it asks for a range of ${length} numbers`);
  return Array.from({ length }, (_value, index) => start + index * step);
}

/** Jinja and Python both spell the constants in two ways. */
const GLOBALS: Readonly<Record<string, unknown>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range,
  raise_exception: (message: unknown): never => {
    throw new Error(typeof message === 'string' ? message : 'the template refuses the conversation');
  },
};

/** Parses a template. Throws an Error saying what is wrong with it. */
export function parseTemplate(template: string): TemplateProgram {
  if (template.length > MAX_TEMPLATE_LENGTH) {
    throw new TemplateLimitError(`it has ${template.length} characters, more than ${MAX_TEMPLATE_LENGTH}`);
  }
  if (template.split(/\S/).some((run) => run.length > MAX_WHITESPACE_RUN)) {
    throw new TemplateLimitError(`it has a run of more than ${MAX_WHITESPACE_RUN} whitespace characters`);
  }
  // transformers compiles chat templates with these two settings.
  return { root: parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true })), length: template.length };
}

/** Renders a parsed template with these variables. Throws an Error saying what went wrong. */
export function renderTemplate(
  { root, length }: TemplateProgram,
  variables: Readonly<Record<string, unknown>>,
): string {
  const environment: TemplateEnvironment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
  return String(new BoundedInterpreter(environment, length * MACRO_WORK).run(root).value);
}
