import { describe, expect, it } from 'vitest';
import {
  type Tensor,
  add,
  createReferenceDevice,
  evaluate,
  exp,
  flatten,
  flattenWithPaths,
  full,
  mapTree,
  mul,
  sub,
  tensor,
  unflatten,
} from '../../src/index.js';
import { inline, trace } from '../../src/graph/call.js';
import { topologicalOrder } from '../../src/graph/visit.js';
import { treeSignature } from '../../src/tree.js';

const [a, b, c] = [full([1], 1), full([2], 2), full([3], 3)];

describe('trees', () => {
  const tree = { list: [a, { deep: b }, 'text'], none: null, missing: undefined, number: 4, last: c };

  it('flatten in order and unflatten back', () => {
    expect(flatten(tree)).toEqual([a, b, c]);
    const back = unflatten(tree, [c, b, a]);
    expect(back).toEqual({ list: [c, { deep: b }, 'text'], none: null, missing: undefined, number: 4, last: a });
    expect(tree.last).toBe(c);
  });

  it('map every tensor and nothing else', () => {
    const doubled = mapTree(tree, (leaf) => full(leaf.shape, 0));
    expect(flatten(doubled).map(({ shape }) => shape)).toEqual([[1], [2], [3]]);
    expect(doubled.list[2]).toBe('text');
    expect(flatten(7)).toEqual([]);
    expect(mapTree(a, () => b)).toBe(b);
  });

  it('name every tensor by its path, in the order of flatten', () => {
    expect(flattenWithPaths(tree)).toEqual([
      ['list.0', a],
      ['list.1.deep', b],
      ['last', c],
    ]);
    expect(flattenWithPaths(a)).toEqual([['', a]]);
    expect(flattenWithPaths({ '': a, x: { '': b } }).map(([path]) => path)).toEqual(['', 'x.']);
    expect(() => flattenWithPaths({ 'a.b': a, a: { b } })).toThrow(/two tensors of the tree have the path "a.b"/);
    expect(mapTree(tree, (leaf, path) => (path === 'last' ? null : leaf))).toEqual({ ...tree, last: null });
  });

  it('sign their structure, specs and static values, not their tensors', () => {
    expect(treeSignature([a, 1])).toBe(treeSignature([full([1], 9), 1]));
    const different = [
      [a],
      [b],
      [tensor(Int32Array.of(1))],
      { a },
      { b: a },
      [a, a],
      [[a]],
      [a, 1],
      [a, '1'],
      [a, true],
      [a, null],
      [a, undefined],
    ];
    expect(new Set(different.map(treeSignature)).size).toBe(different.length);
    expect(() => treeSignature([{ seeds: new Float32Array(2) }])).toThrow(/argument\[0\]\.seeds is a Float32Array/);
    expect(() => treeSignature([new Map()])).toThrow(/is a Map/);
  });
});

describe('traced bodies', () => {
  const device = createReferenceDevice();

  it('close over what they use and replay with other inputs', async () => {
    const weight = tensor([10]);
    const outside = mul(weight, 2);
    const body = trace(([x]) => [add(mul(x!, outside), 1), weight], [a]);
    expect(body.captured).toEqual([outside, weight]);
    expect(body.parameters).toHaveLength(3);
    const [y, captured] = inline(body, [tensor([3]), ...body.captured]);
    expect([await y!.item(device), await captured!.item(device)]).toEqual([61, 10]);
  });

  it('keep constants inside', () => {
    expect(trace(([x]) => [mul(x!, full([1], 2)), full([], 3)], [a]).captured).toEqual([]);
  });

  it('share what does not depend on the parameters', () => {
    const body = trace(([x]) => [x!], [a]);
    expect(inline(body, [b])).toEqual([b]);
  });
});

describe('the walk of a graph', () => {
  it('visits producers first, each once, and stops at known tensors', async () => {
    const x = tensor([1]);
    const y = exp(x);
    const z = sub(mul(y, y), y);
    expect(topologicalOrder([z, y]).map(({ op }) => op.name)).toEqual(['exp', 'mul', 'sub']);
    expect(topologicalOrder([z], (value: Tensor) => value === y).map(({ op }) => op.name)).toEqual(['mul', 'sub']);
    await evaluate([y], { device: createReferenceDevice() });
    expect(topologicalOrder([z]).map(({ op }) => op.name)).toEqual(['mul', 'sub']);
  });
});
