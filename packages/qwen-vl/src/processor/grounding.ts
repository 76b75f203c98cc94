/**
 * Boxes and points between a model's text and the picture a person sees.
 *
 * Qwen2.5-VL names positions in pixels of the resized image, so a number in its answer means nothing without the image's
 * geometry. `parseGrounding` reads an answer, `formatGrounding` writes one for training; both take the geometry the
 * processor reports (`ProcessedConversation.vision.images`). Written numbers are whole, so a coordinate comes back within half a resized pixel.
 */
import { InvalidInputError, quoteValue } from '../errors.js';
import {
  boxBetween,
  toOriginalPoint,
  toResizedPoint,
  type Box,
  type ConversionOptions,
  type Point,
  type Resizing,
} from './coordinates.js';
import { scanGrounding, type ScannedShape } from './grounding-scan.js';

export type GroundedShape =
  | { readonly kind: 'box'; readonly box: Box }
  | { readonly kind: 'point'; readonly point: Point }
  | { readonly kind: 'polygon'; readonly corners: readonly Point[] };

/** A shape with what it shows; null if the text does not say. */
export interface LabelledShape {
  readonly label: string | null;
  readonly shape: GroundedShape;
}

export interface Grounding {
  readonly label: string | null;
  /** As the model wrote it: pixels of the resized image. */
  readonly resized: GroundedShape;
  /** Pixels of the original image. */
  readonly original: GroundedShape;
}

/** How each kind is made of points, and taken apart again. */
const SHAPES: {
  readonly [Kind in GroundedShape['kind']]: {
    readonly of: (points: readonly Point[]) => Extract<GroundedShape, { kind: Kind }>;
    readonly points: (shape: Extract<GroundedShape, { kind: Kind }>) => readonly Point[];
  };
} = {
  box: {
    of: (points) => ({ kind: 'box', box: boxBetween(points[0]!, points[1]!) }),
    points: ({ box: { x, y, width, height } }) => [
      { x, y },
      { x: x + width, y: y + height },
    ],
  },
  point: { of: ([point]) => ({ kind: 'point', point: point! }), points: ({ point }) => [point] },
  polygon: { of: (corners) => ({ kind: 'polygon', corners }), points: ({ corners }) => corners },
};

const shapeOf = (kind: ScannedShape['kind'], points: readonly Point[]): GroundedShape => SHAPES[kind].of(points);

// The table's entry and the shape have the same kind; the compiler cannot follow that through an index.
const cornersOf = (shape: GroundedShape): readonly Point[] =>
  (SHAPES[shape.kind].points as (shape: GroundedShape) => readonly Point[])(shape);

/**
 * Reads the boxes and points of an answer: JSON with `bbox_2d` and `point_2d` (in a fence or not, cut short or not),
 * `<|box_start|>` and `<|quad_start|>` with their references, and `<points>` tags. Work is linear in the text.
 * @param text the answer, decoded with its special tokens if those are to be read; anything else in it is passed over
 * @param image the geometry of the image the answer is about
 * @param options `clamp` moves the original coordinates into the picture; the resized ones stay as written
 * @returns in the order of the text; never throws for what the text holds
 */
export function parseGrounding(text: string, image: Resizing, options: ConversionOptions = {}): readonly Grounding[] {
  return scanGrounding(text).map(({ kind, points, label }) => ({
    label,
    resized: shapeOf(kind, points),
    original: shapeOf(
      kind,
      points.map((point) => toOriginalPoint(image, point, options)),
    ),
  }));
}

export type GroundingFormat = 'json' | 'tags';

interface WrittenShape {
  readonly kind: GroundedShape['kind'];
  readonly label: string | null;
  /** Whole numbers, x before y. */
  readonly numbers: readonly number[];
}

const JSON_KEYS: Partial<Record<GroundedShape['kind'], string>> = { box: 'bbox_2d', point: 'point_2d' };
const TAG_NAMES: Partial<Record<GroundedShape['kind'], string>> = { box: 'box', polygon: 'quad' };

function unwritable(kind: string, format: GroundingFormat): never {
  throw new InvalidInputError(
    `formatGrounding: the format ${format} has no notation for a ${kind}; use ${format === 'json' ? 'tags' : 'json'}`,
  );
}

function jsonLine({ kind, label, numbers }: WrittenShape): string {
  const coordinates = `${JSON.stringify(JSON_KEYS[kind] ?? unwritable(kind, 'json'))}: [${numbers.join(', ')}]`;
  return `\t{${coordinates}${label === null ? '' : `, "label": ${JSON.stringify(label)}`}}`;
}

function taggedShape({ kind, label, numbers }: WrittenShape): string {
  const name = TAG_NAMES[kind] ?? unwritable(kind, 'tags');
  const pairs = numbers.flatMap((x, index) => (index % 2 === 0 ? [`(${x},${numbers[index + 1]!})`] : []));
  const reference = label === null ? '' : `<|object_ref_start|>${label}<|object_ref_end|>`;
  return `${reference}<|${name}_start|>${pairs.join(',')}<|${name}_end|>`;
}

const FORMATS: Readonly<Record<GroundingFormat, (shapes: readonly WrittenShape[]) => string>> = {
  json: (shapes) => `\`\`\`json\n[\n${shapes.map(jsonLine).join(',\n')}\n]\n\`\`\``,
  tags: (shapes) => shapes.map(taggedShape).join(''),
};

/**
 * Writes an answer that holds these shapes, as Qwen2.5-VL would.
 * @param items shapes in pixels of the original image; what lies outside is moved to its border
 * @param image the geometry the image will have in the prompt
 * @param format `json`, what Qwen2.5-VL writes by itself, for boxes and points; or `tags`, special tokens, for boxes and quads
 * @throws InvalidInputError if a coordinate is no number or the format has no notation for the shape
 */
export function formatGrounding(
  items: readonly LabelledShape[],
  image: Resizing,
  format: GroundingFormat = 'json',
): string {
  const written = items.map(({ label, shape }, index) => {
    const points = cornersOf(shape).map((point) => toResizedPoint(image, point, { clamp: true }));
    const numbers = points.flatMap(({ x, y }) => [Math.round(x), Math.round(y)]);
    const wrong = numbers.find((value) => !Number.isFinite(value));
    if (wrong !== undefined) {
      throw new InvalidInputError(`formatGrounding: shape ${index + 1} has a coordinate that is ${quoteValue(wrong)}`);
    }
    if (format === 'tags' && shape.kind === 'polygon' && numbers.length !== 8)
      unwritable('polygon of other than four corners', format);
    return { kind: shape.kind, label, numbers };
  });
  return FORMATS[format](written);
}
