/**
 * Which element types an op takes and gives, found by asking its `infer`.
 *
 * Every operand of a few sample applications is given each dtype in turn, by itself and together with the operands that share
 * its dtype (both sides of a sum change at once); what `infer` does not refuse is taken. Operands are counted by place.
 */
import type { DType, Op, TensorSpec } from '../../packages/tensor-core/dist/index.js';

/** One application that is known to be well-formed. */
export interface Application {
  readonly inputs: readonly TensorSpec[];
  readonly attributes: object;
}

export interface OpDTypes {
  /** For each operand place the dtypes that are taken there. */
  readonly operands: readonly ReadonlySet<DType>[];
  /** Operands from this place on are not in every application. */
  readonly required: number;
  /** Dtypes of the first result. */
  readonly result: ReadonlySet<DType>;
  /** An operand place whose dtype the first result always has; undefined where there is none. */
  readonly resultLike: number | undefined;
}

export const everyDType: readonly DType[] = ['f32', 'f16', 'bf16', 'i32', 'u32', 'bool'];

/** The first result, or undefined where `infer` refuses; anything but a ShapeError is a fault of the op. */
function resultOf(op: Op, inputs: readonly TensorSpec[], attributes: object): TensorSpec | undefined {
  try {
    return op.infer(inputs, attributes)[0];
  } catch (error) {
    if (error instanceof Error && error.name === 'ShapeError') return undefined;
    throw error;
  }
}

/** The application with place `place` given `dtype`: alone, and together with all operands of its dtype. */
function variants(inputs: readonly TensorSpec[], place: number, dtype: DType): (readonly TensorSpec[])[] {
  const shared = inputs[place]!.dtype;
  return [
    inputs.map((spec, i) => (i === place ? { ...spec, dtype } : spec)),
    inputs.map((spec) => (spec.dtype === shared ? { ...spec, dtype } : spec)),
  ];
}

export function dtypesOf(op: Op, applications: readonly Application[]): OpDTypes {
  const operands: Set<DType>[] = [];
  const result = new Set<DType>();
  let likes: number[] | undefined;
  const note = (inputs: readonly TensorSpec[], attributes: object): boolean => {
    const output = resultOf(op, inputs, attributes);
    if (!output) return false;
    result.add(output.dtype);
    likes = (likes ?? inputs.map((_, place) => place)).filter((place) => inputs[place]?.dtype === output.dtype);
    return true;
  };
  for (const { inputs, attributes } of applications) {
    const specs = inputs.map(({ shape, dtype }) => ({ shape, dtype }));
    if (!note(specs, attributes)) throw new Error(`${op.name}: infer refuses an application that is its own test case`);
    specs.forEach((_, place) => {
      const taken = (operands[place] ??= new Set());
      for (const dtype of everyDType)
        if (variants(specs, place, dtype).some((variant) => note(variant, attributes))) taken.add(dtype);
    });
  }
  const required = Math.min(...applications.map(({ inputs }) => inputs.length));
  return { operands, required, result, resultLike: likes?.[0] };
}

const listed = (dtypes: ReadonlySet<DType>): string =>
  dtypes.size === everyDType.length ? 'any' : everyDType.filter((dtype) => dtypes.has(dtype)).join(' ');

/**
 * `f32 i32 u32` for operands that all take the same, else one list for each operand; `[i32]` for those that may be left out,
 * together, unless the last required one takes the same; `→ bool` for a result of its own.
 */
export function describeDTypes({ operands, required, result, resultLike }: OpDTypes): string {
  const texts = operands.slice(0, required).map(listed);
  const optional = listed(new Set(operands.slice(required).flatMap((taken) => [...taken])));
  return [
    texts.filter((text, place) => text !== texts[place - 1]).join('; '),
    optional === '' || optional === texts.at(-1) ? '' : `[${optional}]`,
    resultLike === undefined ? `→ ${listed(result)}` : '',
  ]
    .filter(Boolean)
    .join(' ');
}
