/**
 * Renders a Jinja template within bounds.
 *
 * A chat template comes out of a downloaded folder and is a program: loops can be nested and values doubled. The interpreter
 * of @huggingface/jinja evaluates every node through one method, which is overridden here to count steps and to look at the
 * size of what it returns. Nothing of the host is reachable from a template: the variables are plain data, and the functions
 * are `range` (bounded) and `raise_exception`.
 */
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';

const MAX_TEMPLATE_LENGTH = 2 ** 18;
/** The library's lexer takes quadratic time over a run of whitespace; real templates indent by tens. */
const MAX_WHITESPACE_RUN = 1000;
const MAX_STEPS = 500_000;
const MAX_RANGE = 10_000;
/** Largest string or list a template may build. */
const MAX_SIZE = 2 ** 22;

/** The parts of the library that are used; its published types do not resolve in strict module resolution. */
interface TemplateEnvironment {
  set(name: string, value: unknown): unknown;
}
interface RuntimeValue {
  readonly value?: unknown;
}
interface TemplateInterpreter {
  run(program: unknown): RuntimeValue;
  evaluate(node: unknown, environment: unknown): RuntimeValue;
}
const TypedInterpreter: new (environment: TemplateEnvironment) => TemplateInterpreter = Interpreter;

export class TemplateLimitError extends Error {
  override readonly name = 'TemplateLimitError';
}

class BoundedInterpreter extends TypedInterpreter {
  #steps = 0;

  override evaluate(node: unknown, environment: unknown): RuntimeValue {
    if (++this.#steps > MAX_STEPS) throw new TemplateLimitError(`it takes more than ${MAX_STEPS} steps`);
    const result = super.evaluate(node, environment);
    const { value } = result;
    if ((typeof value === 'string' || Array.isArray(value)) && value.length > MAX_SIZE) {
      throw new TemplateLimitError(`it builds a value of more than ${MAX_SIZE} entries`);
    }
    return result;
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
    throw new Error(String(message));
  },
};

/** Parses a template. Throws an Error saying what is wrong with it. */
export function parseTemplate(template: string): unknown {
  if (template.length > MAX_TEMPLATE_LENGTH) {
    throw new TemplateLimitError(`it has ${template.length} characters, more than ${MAX_TEMPLATE_LENGTH}`);
  }
  if (template.split(/\S/).some((run) => run.length > MAX_WHITESPACE_RUN)) {
    throw new TemplateLimitError(`it has a run of more than ${MAX_WHITESPACE_RUN} whitespace characters`);
  }
  // transformers compiles chat templates with these two settings.
  return parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
}

/** Renders a parsed template with these variables. Throws an Error saying what went wrong. */
export function renderTemplate(program: unknown, variables: Readonly<Record<string, unknown>>): string {
  const environment: TemplateEnvironment = new Environment();
  for (const [name, value] of Object.entries({ ...GLOBALS, ...variables })) environment.set(name, value);
  return String(new BoundedInterpreter(environment).run(program).value);
}
