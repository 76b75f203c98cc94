/**
 * Ops that put a box of elements somewhere into a larger array: pad, concat, updateSlice.
 *
 * Where the elements of every word stay together the box is walked, and its words are stored. Else the whole of y is walked:
 * who owns a word of it takes each element from the box, or leaves what lies outside.
 */
import { type TensorSpec, sizeOf, stridesOf } from '@mindseye/tensor-core';
import { elementsPerWord, wgslTypeOf } from '../element.js';
import { faultReport } from '../status.js';
import { type Dispatch, type DispatchDefinition, elementDispatch, input, output } from '../wgsl/dispatch.js';
import { joinLoops, walkLoops } from '../wgsl/loops.js';
import { loadElement, mapDispatch } from '../wgsl/map.js';
import { Uniforms } from '../wgsl/uniforms.js';
import type { Kernel } from './kernel.js';
import { copyWords, inUnits, movesWords } from './move.js';

/** Where the box starts along one axis, when only the GPU knows. */
interface RunTimeStart extends Pick<DispatchDefinition, 'operands' | 'declarations' | 'status'> {
  readonly axis: number;
  /** Statements that declare `row` (u32), the start, and `fits`. */
  readonly statements: string;
}

interface Box {
  readonly name: string;
  readonly box: TensorSpec;
  readonly y: TensorSpec;
  /** The place in y of the box's first element. */
  readonly start: readonly number[];
  /** Position of the box among the inputs. */
  readonly index: number;
  readonly runTime?: (uniforms: Uniforms) => RunTimeStart;
}

const noStart: Pick<RunTimeStart, 'operands' | 'declarations' | 'status'> = { operands: [] };

/** Stores the box and leaves the rest of y. */
function putBox({ name, box, y, start, index, runTime }: Box): Dispatch {
  const strides = stridesOf(y.shape);
  const joined = joinLoops(box.shape.map((size, axis) => ({ size, strides: [strides[axis]!] })));
  const perWord = elementsPerWord(box.dtype);
  const base = start.reduce((offset, from, axis) => offset + from * strides[axis]!, 0);
  const uniforms = new Uniforms();
  const begin = runTime?.(uniforms);
  const rowStride = begin ? strides[begin.axis]! : 0;
  if (!movesWords(joined, perWord) || base % perWord !== 0 || rowStride % perWord !== 0)
    return mergeBox({ name, box, y, start, index, ...(runTime && { runTime }) }, 'keep');
  const loops = joined.map((loop, i) => inUnits(loop, perWord, i === joined.length - 1));
  const walk = walkLoops(uniforms, 'at', 'i', loops, 1);
  const from = [walk.offsets[0]!, uniforms.u32(base / perWord)];
  if (begin) from.push(`row * ${uniforms.u32(rowStride / perWord)}`);
  const { operands, declarations = [], status = false } = begin ?? noStart;
  return elementDispatch({
    name,
    operands: [{ name: 'x', type: 'u32', from: input(index) }, ...operands, { name: 'y', type: 'u32', from: output() }],
    uniforms,
    declarations,
    status,
    count: sizeOf(box.shape) / perWord,
    body: `${begin ? `${begin.statements}\n  if (!fits) { return; }` : ''}
${walk.statements}
  y[${from.join(' + ')}] = x[i];`,
  });
}

/** An axis of y and the part of it that the box covers. */
interface Span {
  readonly size: number;
  readonly covered: number;
  readonly start: number;
  readonly axis: number;
}

/** The axes of y, an axis that the box covers whole joined to the one before it. */
function spansOf({ box, y, start, runTimeAxis }: Pick<Box, 'box' | 'y' | 'start'> & { runTimeAxis: number }): Span[] {
  const spans: Span[] = [];
  y.shape.forEach((size, axis) => {
    const inner: Span = { size, covered: box.shape[axis]!, start: start[axis]!, axis };
    const outer = spans.at(-1);
    const isWhole = inner.covered === size && axis !== runTimeAxis;
    if (!outer || !isWhole) spans.push(inner);
    else
      spans[spans.length - 1] = {
        size: outer.size * size,
        covered: outer.covered * size,
        start: outer.start * size,
        axis: outer.axis,
      };
  });
  return spans;
}

/** Walks y: its elements come from the box, and outside it are cleared or kept. */
function mergeBox({ name, box, y, start, index, runTime }: Box, outside: 'clear' | 'keep'): Dispatch {
  const uniforms = new Uniforms();
  const begin = runTime?.(uniforms);
  const spans = spansOf({ box, y, start, runTimeAxis: begin?.axis ?? -1 });
  const perWord = elementsPerWord(box.dtype);
  const last = spans.at(-1) ?? { size: 1, covered: 1, start: 0 };
  const whole = !begin && [last.size, last.covered, last.start].every((length) => length % perWord === 0);
  const unit = whole ? perWord : 1;
  const dtype = whole ? 'u32' : box.dtype;
  const units = spans.map((span, i) =>
    i === spans.length - 1
      ? { ...span, size: span.size / unit, covered: span.covered / unit, start: span.start / unit }
      : span,
  );
  const boxStrides = stridesOf(units.map(({ covered }) => covered));
  const loops = units.map(({ size }, i) => ({ size, strides: [boxStrides[i]!] }));
  const walk = walkLoops(uniforms, 'at', 'i', loops, 0);
  const places = units.map((span, i) => {
    const from = [uniforms.u32(span.start)];
    if (begin?.axis === span.axis) from.push(`row * ${uniforms.u32(span.size / y.shape[span.axis]!)}`);
    // Before the start the difference wraps around to a large number.
    return `  let in${i} = at${i} - (${from.join(' + ')});`;
  });
  const inside = units.map(({ covered }, i) => `in${i} < ${uniforms.u32(covered)}`);
  const offset = units.map((_, i) => `in${i} * ${uniforms.u32(boxStrides[i]!)}`).join(' + ') || '0u';
  const { operands, declarations = [], status = false } = begin ?? noStart;
  return mapDispatch({
    name,
    operands: [{ name: 'x', type: 'u32', from: input(index) }, ...operands],
    // The words of y may be kept in part, so they are bound as u32 whatever they are.
    results: [
      { name: 'y', dtype: dtype === 'f32' || dtype === 'i32' ? 'u32' : dtype, from: output(), value: 'element' },
    ],
    uniforms,
    declarations,
    status,
    count: sizeOf(y.shape) / unit,
    body: `${begin?.statements ?? ''}
${walk.statements}
${places.join('\n')}
  var element = ${outside === 'clear' ? '0u' : loadElement('y', dtype, 'i')};
  if (${[...inside, ...(begin ? ['fits'] : [])].join(' && ') || 'true'}) {
    let xAt = ${offset};
    element = ${loadElement('x', dtype, 'xAt')};
  }`,
  });
}

const accepts = (): boolean => true;

const pad: Kernel<{ readonly before: readonly number[] }> = {
  accepts,
  lower: ({ inputs: [x], outputs: [y], attributes: { before } }) => [
    mergeBox({ name: 'pad', box: x!, y: y!, start: before, index: 0 }, 'clear'),
  ],
};

/** One dispatch per operand, so that their number has no limit. */
const concat: Kernel<{ readonly axis: number }> = {
  accepts,
  lower({ inputs, outputs: [y], attributes: { axis } }) {
    let from = 0;
    return inputs.map((box, index) => {
      const start = box.shape.map((_, i) => (i === axis ? from : 0));
      from += box.shape[axis]!;
      return putBox({ name: 'concat', box, y: y!, start, index });
    });
  },
};

/**
 * The update at a row that only the GPU knows, into the target's bytes where y lies on them, else into a copy. A start that
 * does not fit leaves the target.
 */
const updateSlice: Kernel<{ readonly axis: number }> = {
  accepts,
  lower({ inputs: [target, update], outputs: [y], attributes: { axis }, overwritten = [] }) {
    const runTime = (uniforms: Uniforms): RunTimeStart => {
      const length = uniforms.u32(update!.shape[axis]!);
      const capacity = uniforms.u32(target!.shape[axis]!);
      return {
        axis,
        operands: [{ name: 'start', type: wgslTypeOf('i32'), from: input(2) }],
        declarations: [faultReport('updateSlice')],
        status: true,
        statements: `  let row = u32(start[0]);
  let fits = start[0] >= 0 && row <= ${capacity} - ${length};
  if (!fits && i == 0u) { reportFault(start[0], ${length}, ${capacity}); }`,
      };
    };
    const put = putBox({ name: 'updateSlice', box: update!, y: y!, start: y!.shape.map(() => 0), index: 1, runTime });
    return overwritten[0] === undefined ? [copyWords('updateSlice target', y!), put] : [put];
  },
  inPlace: true,
};

export const boxKernels: Readonly<Record<string, Kernel>> = {
  pad: pad as Kernel,
  concat: concat as Kernel,
  updateSlice: updateSlice as Kernel,
};
