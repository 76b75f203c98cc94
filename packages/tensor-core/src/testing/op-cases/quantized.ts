/**
 * Cases of the ops that read weights in low precision: linear layers and heads with f32, f16, bf16 and quantised weights.
 *
 * Widths go past one group and end inside words and groups. The bits behind a row's last code are random: no op may read
 * them.
 */
import fc from 'fast-check';
import { type DType, decoderOf, encoderOf } from '../../dtype.js';
import {
  type LinearCrossEntropyAttributes,
  gradientPlaces,
  linearCrossEntropyOp,
} from '../../fused/linear-cross-entropy.js';
import { ignoredLabel } from '../../fused/softmax-cross-entropy.js';
import type { HostTensor } from '../../op.js';
import {
  type QuantizationFormat,
  allowedBits,
  allowedGroupSizes,
  groupsPerRow,
  largestCode,
  wordsPerRow,
} from '../../quantize/format.js';
import type { Shape } from '../../shape.js';
import {
  type ValueRange,
  arbitraryIndices,
  arbitraryLength,
  arbitrarySeed,
  arbitraryShape,
  arbitraryValue,
  seededValue,
} from '../arbitrary-values.js';
import { runReference } from '../host.js';
import type { Tolerance } from '../tolerance.js';
import { type CaseOptions, type OpCase, floatInputs, invocation, sumTolerance } from './case.js';

type Values = CaseOptions['values'];

const rangeOf = (values: Values): ValueRange => (values === 'extreme' ? 'moderate' : 'ordinary');
const floats: readonly DType[] = ['f32', 'f16', 'bf16'];

/** f32 where finite differences are taken, else any dtype that weights are stored in. */
const storageDtype = (values: Values): fc.Arbitrary<DType> =>
  values === 'smooth' ? fc.constant('f32') : fc.constantFrom(...floats);

export interface ArbitraryQuantized {
  /** Codes, scales, and offsets where the format has zero points. */
  readonly operands: readonly HostTensor[];
  readonly format: QuantizationFormat;
}

/** A value like `source` with every number mapped, in another dtype. */
function mapped(
  { shape, dtype, data }: HostTensor,
  to: DType,
  change: (value: number, i: number) => number,
): HostTensor {
  const [decode, encode] = [decoderOf(dtype), encoderOf(to)];
  const target = seededValue(shape, to, 'ordinary', 0).data;
  for (let i = 0; i < data.length; i++) target[i] = encode(change(decode(data[i]!), i));
  return { shape, dtype: to, data: target };
}

/**
 * A quantised matrix of `rows` rows and up to `maxColumns` columns, its numbers mostly between −4 and 4.
 *
 * Extreme ones have scales that are powers of two up to 2⁸ and whole zero points, so that code · scale + offset is exact
 * however it is computed.
 */
export function arbitraryQuantized(rows: number, columns: number, values: Values): fc.Arbitrary<ArbitraryQuantized> {
  return fc
    .tuple(
      fc.constantFrom(...allowedBits),
      fc.constantFrom(...allowedGroupSizes),
      fc.boolean(),
      storageDtype(values),
      fc.tuple(arbitrarySeed(), arbitrarySeed(), arbitrarySeed()),
    )
    .map(([bits, groupSize, symmetric, dtype, seeds]) => {
      const format: QuantizationFormat = { bits, groupSize, columns, symmetric };
      const grid: Shape = [rows, groupsPerRow(format)];
      const codes = seededValue([rows, wordsPerRow(format)], 'u32', 'words', seeds[0]);
      const numbers = seededValue(grid, 'f32', 'ordinary', seeds[1]);
      const points = seededValue(grid, 'f32', 'ordinary', seeds[2]);
      const isExtreme = values === 'extreme';
      const scales = mapped(numbers, dtype, (value) =>
        isExtreme ? Math.sign(value) * 2 ** Math.round(11 * Math.abs(value) - 14) : (value / largestCode(bits)) * 2,
      );
      const decode = decoderOf(dtype);
      const offsets = mapped(points, dtype, (value, i) =>
        isExtreme ? -decode(scales.data[i]!) * Math.round((Math.abs(value) / 2) * largestCode(bits)) : value,
      );
      return { operands: symmetric ? [codes, scales] : [codes, scales, offsets], format };
    });
}

/** Widths beyond one group now and then. */
const arbitraryColumns = (maxLength: number): fc.Arbitrary<number> =>
  fc.oneof(arbitraryLength({ maxLength }), fc.nat(Math.max(maxLength, 140)));

const dequantize: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(arbitraryLength({ maxLength }), arbitraryColumns(maxLength))
      .chain(([rows, columns]) => arbitraryQuantized(rows, columns, values))
      .map(({ operands, format }) => invocation(operands, format)),
  differentiable: floatInputs,
  tolerance: { absolute: 1e-5, relative: 1e-6 },
};

/** Sums over a few hundred columns. */
const wideSumTolerance: Tolerance = { absolute: 1e-4, relative: 1e-4, norm: 1e-5 };

const quantizedLinear: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .tuple(
        arbitraryShape({ maxRank: 2, maxLength }),
        arbitraryLength({ maxLength }),
        arbitraryColumns(maxLength),
        fc.boolean(),
        fc.boolean(),
      )
      .chain(([lead, rows, columns, transposed, biased]) =>
        fc
          .tuple(
            arbitraryValue([...lead, transposed ? rows : columns], 'f32', rangeOf(values)),
            arbitraryQuantized(rows, columns, values),
            arbitraryValue([rows]),
          )
          .map(([x, { operands, format }, bias]) =>
            invocation([x, ...operands, ...(biased && !transposed ? [bias] : [])], { format, transposed }),
          ),
      ),
  differentiable: floatInputs,
  tolerance: wideSumTolerance,
};

/** x [..., in] (or [..., out], where `transposed`) and a dense weight [out, in] in any storage dtype. */
function denseProduct(transposed: boolean): OpCase {
  return {
    invocations: ({ values, maxLength }) => {
      const length = arbitraryLength({ maxLength });
      return fc
        .tuple(arbitraryShape({ maxRank: 2, maxLength }), length, length, fc.boolean(), storageDtype(values))
        .chain(([lead, inputs, outputs, biased, dtype]) =>
          fc
            .tuple(
              arbitraryValue([...lead, transposed ? outputs : inputs], 'f32', rangeOf(values)),
              arbitraryValue([outputs, inputs], dtype, rangeOf(values)),
              arbitraryValue([outputs]),
            )
            .map(([x, weight, bias]) => invocation(biased && !transposed ? [x, weight, bias] : [x, weight])),
        );
    },
    differentiable: floatInputs,
    tolerance: sumTolerance,
  };
}

/** A weight of a head, as operands: dense in any storage dtype, or quantised. */
function arbitraryHeadWeight(
  classes: number,
  width: number,
  values: Values,
): fc.Arbitrary<{ readonly operands: readonly HostTensor[]; readonly format: QuantizationFormat | null }> {
  const kind = values === 'extreme' ? 'ordinary' : values; // the logits are large enough through the bias
  const dense = storageDtype(values).chain((dtype) =>
    arbitraryValue([classes, width], dtype).map((weight) => ({ operands: [weight], format: null })),
  );
  return fc.oneof(dense, arbitraryQuantized(classes, width, kind));
}

/** Labels with ignored ones between; a bias that, where extreme, is large and forbids some classes but not the first. */
const linearCrossEntropy: OpCase = {
  invocations: ({ values, maxLength }) =>
    fc
      .record({
        rows: arbitraryLength({ maxLength }),
        width: fc.oneof(arbitraryLength({ maxLength }), fc.nat(Math.max(maxLength, 40))),
        classes: fc.integer({ min: 1, max: 2 * maxLength }),
        chunk: fc.integer({ min: 1, max: 2 * maxLength }),
        biased: fc.boolean(),
        entropy: fc.boolean(),
        temperature: fc.constantFrom(1, 0.5, 3),
        ignored: fc.constantFrom(ignoredLabel, 0),
      })
      .chain(({ rows, width, classes, chunk, biased, entropy, temperature, ignored }) =>
        fc
          .tuple(
            arbitraryValue([rows, width]),
            arbitraryIndices([rows], classes + 1),
            arbitraryHeadWeight(classes, width, values),
            arbitraryValue([classes], 'f32', values === 'extreme' ? 'scores' : 'ordinary'),
          )
          .map(([x, indices, { operands, format }, bias]) => {
            const labels = mapped(indices, 'i32', (label) => (label === classes ? ignored : label));
            const offsets = mapped(bias, 'f32', (value, i) => (i === 0 ? Math.max(value, -100) : value));
            return invocation([x, labels, ...operands, ...(biased ? [offsets] : [])], {
              format,
              biased,
              entropy,
              temperature,
              ignoredLabel: ignored,
              chunkClasses: Math.min(chunk, classes),
            } satisfies LinearCrossEntropyAttributes);
          }),
      ),
  differentiable: ({ inputs, attributes }) => headPlaces(inputs, attributes as LinearCrossEntropyAttributes),
  tolerance: { absolute: 1e-3, relative: 1e-4, norm: 1e-4 },
};

/** The f32 places among those that gradients flow to. */
const headPlaces = (inputs: readonly HostTensor[], attributes: LinearCrossEntropyAttributes): number[] =>
  Object.values(gradientPlaces(attributes)).flatMap((place) =>
    place !== undefined && inputs[place]!.dtype === 'f32' ? [place] : [],
  );

const linearCrossEntropyBackward: OpCase = {
  invocations: (options) =>
    linearCrossEntropy.invocations(options).chain(({ inputs, attributes }) => {
      const forward = attributes as LinearCrossEntropyAttributes;
      const places = Object.values(gradientPlaces(forward)).flatMap((place) => (place === undefined ? [] : [place]));
      return fc.tuple(fc.subarray(places, { minLength: 1 }), arbitrarySeed()).map(([needed, seed]) => {
        const outputs = runReference(linearCrossEntropyOp, inputs, forward);
        const cotangents = seededValue([outputs.length, ...outputs[0]!.shape], 'f32', 'ordinary', seed);
        return invocation([...inputs, ...outputs, cotangents], { forward, inputCount: inputs.length, needed });
      });
    }),
  differentiable: ({ inputs, attributes }) => {
    const { forward } = attributes as { readonly forward: LinearCrossEntropyAttributes };
    return [...headPlaces(inputs, forward), inputs.length - 1];
  },
  tolerance: { absolute: 1e-3, relative: 1e-4, norm: 1e-4 },
};

export const quantizedCases: Readonly<Record<string, OpCase>> = {
  dequantize,
  linear: denseProduct(false),
  linearTransposed: denseProduct(true),
  quantizedLinear,
  linearCrossEntropy,
  linearCrossEntropyBackward,
};
