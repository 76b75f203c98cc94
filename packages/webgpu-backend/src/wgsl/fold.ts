/**
 * Folding values across the invocations of a workgroup, through workgroup memory. All invocations must take part, so these
 * pieces stand in uniform control flow. Fixed order: results repeat exactly.
 */

/** Invocations of a workgroup that folds. */
export const reduceLanes = 64;

/**
 * Statements that fold what each invocation wrote at its own place into place 0, visible to all.
 * @param fold a statement that folds the value at place `second` into place `first`.
 */
export const foldPartials = (fold: (first: string, second: string) => string): string => `
  workgroupBarrier();
  for (var half = ${reduceLanes / 2}u; half > 0u; half >>= 1u) {
    if (lane < half) { ${fold('lane', 'lane + half')} }
    workgroupBarrier();
  }`;

/** Declares the places that `foldF32` uses. */
export const partialsF32: string = `var<workgroup> partial: array<f32, ${reduceLanes}>;`;

/**
 * Statements that declare `name`, the fold of `value` over the workgroup, the same in all its invocations.
 * @param fold an expression of two values.
 */
export const foldF32 = (name: string, value: string, fold: (a: string, b: string) => string): string => `
  partial[lane] = ${value};${foldPartials((first, second) => `partial[${first}] = ${fold(`partial[${first}]`, `partial[${second}]`)};`)}
  let ${name} = partial[0];
  workgroupBarrier();`;

export const addF32 = (a: string, b: string): string => `${a} + ${b}`;
