/** The parts that docs/ops.md is made from. Whether the page itself is up to date is `pnpm ops-table:check`. */
import { describe, expect, test } from 'vitest';
import { type OpDTypes, describeDTypes, dtypesOf } from '../../../scripts/ops-table/dtypes.ts';
import { markdownTable, opsPage } from '../../../scripts/ops-table/page.ts';
import { type Backend, type OpFacts, rowOf } from '../../../scripts/ops-table/rows.ts';
import { firstSentence, opSummaries } from '../../../scripts/ops-table/summaries.ts';

type Op = Parameters<typeof dtypesOf>[0];
type Spec = Parameters<Op['infer']>[0][number];

class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

function refuse(condition: boolean): void {
  if (condition) throw new ShapeError('refused');
}

describe('what an op means', () => {
  const summariesOf = (names: readonly string[], ...code: readonly string[]): Record<string, string> =>
    Object.fromEntries(
      opSummaries(
        names,
        code.map((text, i) => ({ file: `${i}.ts`, code: text })),
      ),
    );

  test('is the doc comment of its constant, else the head of its file, else the comment above', () => {
    const family = `import { x } from './x.js';
      /** Not about an op. */
      const helper = 1;
      /**
       * Both of the family,
       * side by side. More.
       */
      export const firstOp: Op = make({ name: 'first', note: 'name' });
      export const secondOp: Op = make('second', (a) => ({ name: 'inner' }));
      // A plain comment.
      /** The third. */
      export const thirdOp = { infer: () => ({ name: 'deep' }), name: 'third' } satisfies Op as Op;`;
    const headed = `/**
       * The head of a file:
       *
       *   y = x
       */
      import { x } from './x.js';
      /** Of a helper. */
      const helper = { name: 'other' };
      export const headedOp: Op = define({ name: 'headed' });
      export const headedBackwardOp: Op = { name: 'headedBackward' };`;
    expect(summariesOf(['first', 'second', 'third', 'headed', 'headedBackward'], family, headed)).toEqual({
      first: 'Both of the family, side by side',
      second: 'Both of the family, side by side',
      third: 'The third',
      headed: 'The head of a file',
      headedBackward: 'Gradient of `headed`',
    });
  });

  test('is an error where there is none, or two constants claim the name', () => {
    expect(() => summariesOf(['lonely'], `export const lonelyOp = { name: 'lonely' };`)).toThrow(
      /no sentence for lonely: put a doc comment/,
    );
    expect(() => summariesOf(['absent'], '')).toThrow(/no sentence for absent/);
    const twice = `/** One. */ export const op = { name: 'twice' };`;
    expect(() => summariesOf(['twice'], twice, twice)).toThrow(/twice is defined in 0\.ts and again in 1\.ts/);
  });

  test.each([
    ['One. Two.', 'One'],
    ['By Loshchilov et al. 2019 and Ba et al. in turn. Then more.', 'By Loshchilov et al. 2019 and Ba et al. in turn'],
    ['y = x.view(dtype), 0.5 of it. updates follow.', 'y = x.view(dtype), 0.5 of it'],
    ['As formulas:\n\n  y = x. Yes.', 'As formulas'],
    ['Wrapped\nover lines', 'Wrapped over lines'],
  ])('%j starts with the sentence %j', (text, sentence) => {
    expect(firstSentence(text)).toBe(sentence);
  });
});

describe('dtypes', () => {
  const f32: Spec = { shape: [2], dtype: 'f32' };
  const i32: Spec = { shape: [], dtype: 'i32' };

  test('are those that infer does not refuse, for one operand or all of a dtype', () => {
    const compare: Op = {
      name: 'compare',
      infer([a, b]) {
        refuse(a!.dtype !== b!.dtype || a!.dtype === 'f16' || a!.dtype === 'bf16');
        return [{ shape: a!.shape, dtype: 'bool' }];
      },
    };
    expect(describeDTypes(dtypesOf(compare, [{ inputs: [f32, f32], attributes: {} }]))).toBe('f32 i32 u32 bool → bool');
    const rows: Op = {
      name: 'rows',
      infer([table, index, weight]) {
        refuse(index!.dtype !== 'i32' || (weight !== undefined && weight.dtype !== 'f32'));
        return [table!];
      },
    };
    const applications = [
      { inputs: [f32, i32], attributes: {} },
      { inputs: [f32, i32, f32], attributes: {} },
    ];
    expect(describeDTypes(dtypesOf(rows, applications))).toBe('any; i32 [f32]');
  });

  test('of the operands and of the results are told apart', () => {
    const all: OpDTypes['result'] = new Set(['f32', 'f16', 'bf16', 'i32', 'u32', 'bool']);
    const only: OpDTypes['result'] = new Set(['u32']);
    expect(describeDTypes({ operands: [], required: 0, result: only, resultLike: undefined })).toBe('→ u32');
    expect(describeDTypes({ operands: [all, all], required: 1, result: all, resultLike: 0 })).toBe('any');
    expect(describeDTypes({ operands: [only, all], required: 2, result: all, resultLike: 1 })).toBe('u32; any');
  });

  test('a fault of infer is not taken for a refusal', () => {
    const broken: Op = { name: 'broken', infer: ([x]) => [{ shape: [], dtype: x!.shape.at(9)!.toFixed() as 'f32' }] };
    expect(() => dtypesOf(broken, [{ inputs: [f32], attributes: {} }])).toThrow(TypeError);
    const refusing: Op = { name: 'refusing', infer: () => (refuse(true), []) };
    expect(() => dtypesOf(refusing, [{ inputs: [f32], attributes: {} }])).toThrow(/its own test case/);
  });
});

describe('rows and page', () => {
  const applications = [{ inputs: [{ shape: [2], dtype: 'f32' } as Spec], attributes: {} }];
  const facts = (op: Partial<Op>): OpFacts => ({
    op: { name: 'some', infer: ([x]) => [x!], ...op },
    summary: 'Something',
    applications,
    backwardOf: undefined,
  });
  const backends: readonly Backend[] = [
    { name: 'A', kernelNames: new Set(['some']), runsLoops: () => true },
    { name: 'B', kernelNames: new Set(['fusedExpression']), runsLoops: () => false },
    { name: 'C', kernelNames: new Set(), runsLoops: () => true },
    { name: 'D', kernelNames: new Set(), runsLoops: () => false },
  ];

  test('say how each backend runs an op', () => {
    const kernels = (op: Partial<Op>): readonly string[] => rowOf(facts(op), backends).cells.slice(-backends.length);
    expect(kernels({ scalar: () => Math.abs })).toEqual(['kernel', 'fused expression', 'reference loops', 'none']);
    expect(kernels({ decompose: () => [] })).toEqual(['kernel', 'decomposed', 'reference loops', 'decomposed']);
  });

  test('say where gradients come from', () => {
    const gradient = (op: Partial<Op>): string => rowOf(facts(op), []).cells[3]!;
    const decompose = (): [] => [];
    const vjp = (): [] => [];
    expect(gradient({ vjp, decompose })).toBe('yes');
    expect(gradient({ decompose })).toBe('by decomposition');
    expect(gradient({ decompose, stopsGradient: true })).toBe('stops');
    expect(gradient({})).toBe('none');
    const source = facts({ infer: () => [{ shape: [], dtype: 'i32' }] });
    expect(rowOf({ ...source, applications: [{ inputs: [], attributes: {} }] }, []).cells[3]).toBe('');
  });

  test('a table is aligned, by characters as they are seen, and its bars are escaped', () => {
    expect(
      markdownTable(
        ['op', 'meaning'],
        [
          ['x', '|x|·²'],
          ['long', 'ŷ'],
        ],
      ).split('\n'),
    ).toEqual(['| op   | meaning |', '| ---- | ------- |', '| x    | \\|x\\|·² |', '| long | ŷ       |']);
  });

  test('primitives and fused ops have a section each', () => {
    const page = opsPage(
      ['op'],
      [
        { fused: true, cells: ['two'] },
        { fused: false, cells: ['one'] },
      ],
    );
    expect(page).toMatch(/## Primitives[^#]*\| one \|[^#]*## Fused ops[^#]*\| two \|\n$/);
  });
});
