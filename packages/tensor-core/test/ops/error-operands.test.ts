/** Whatever an op refuses, its error names the op and the operands that do not go together. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShapeError, type TensorSpec, apply, formatShape, opTable, placeholder } from '../../src/index.js';
import { opCases } from '../../src/testing/index.js';

/** Ways to spoil one operand: another dtype, another axis, another length. */
const spoilers: readonly ((spec: TensorSpec) => TensorSpec)[] = [
  ({ shape }) => ({ shape, dtype: 'bf16' }),
  ({ shape, dtype }) => ({ shape, dtype: dtype === 'u32' ? 'i32' : 'u32' }),
  ({ shape, dtype }) => ({ shape: [...shape, 3], dtype }),
  ({ shape, dtype }) => ({ shape: shape.map((size) => size + 2), dtype }),
];

describe('an error about several operands names the op and at least two of them, dtypes and shapes included', () => {
  it.each([...opTable.keys()])('%s', (name) => {
    const op = opTable.get(name)!;
    const property = fc.property(
      opCases[name]!.invocations({ values: 'ordinary', maxLength: 4 }),
      fc.nat(),
      fc.constantFrom(...spoilers),
      ({ inputs, attributes }, place, spoil) => {
        if (inputs.length < 2) return;
        const specs = inputs.map(({ shape, dtype }, i) =>
          i === place % inputs.length ? spoil({ shape, dtype }) : { shape, dtype },
        );
        let message: string | undefined;
        try {
          apply(op, specs.map(placeholder), attributes);
        } catch (error) {
          expect(error).toBeInstanceOf(ShapeError);
          message = (error as ShapeError).message;
        }
        if (message === undefined) return;
        expect(message).toContain(name);
        const named = specs.filter(({ dtype, shape }) => message.includes(`${dtype}${formatShape(shape)}`));
        expect(named.length, message).toBeGreaterThanOrEqual(2);
      },
    );
    fc.assert(property, { numRuns: 60 });
  });
});
