import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { publishedPreprocessorConfig } from '../../src/config/presets.js';
import { InvalidInputError } from '../../src/errors.js';
import {
  toOriginalBox,
  toOriginalPoint,
  toResizedBox,
  type Box,
  type Point,
  type Resizing,
} from '../../src/processor/coordinates.js';
import {
  formatGrounding,
  parseGrounding,
  type GroundedShape,
  type LabelledShape,
} from '../../src/processor/grounding.js';
import { ImageProcessor } from '../../src/processor/image-processor.js';

/** Twice as large as what the model sees. */
const half: Resizing = { original: { width: 560, height: 280 }, resized: { width: 280, height: 140 } };
const box = (x: number, y: number, right: number, bottom: number): GroundedShape => ({
  kind: 'box',
  box: { x, y, width: right - x, height: bottom - y },
});
const point = (x: number, y: number): GroundedShape => ({ kind: 'point', point: { x, y } });
const read = (text: string): [string | null, GroundedShape][] =>
  parseGrounding(text, half).map(({ label, resized }) => [label, resized]);

describe('what a model writes', () => {
  const list =
    '[\n\t{"bbox_2d": [10, 20, 30, 40], "label": "cat"},\n\t{"point_2d": [5.5, 7], "label": "a \\"dog\\" é\\u00e9"}\n]';
  const expected = [
    ['cat', box(10, 20, 30, 40)],
    ['a "dog" éé', point(5.5, 7)],
  ];

  test.each([
    ['bare JSON', list],
    ['JSON in a fence', `Here they are:\n\`\`\`json\n${list}\n\`\`\`\nDone.`],
    ['behind a stray quote', `A 5" screen, it's here: ${list}`],
    ['behind a stray brace', `{ or "so\n${list}`],
    ['in an object', `{"objects": ${list}, "count": 2}`],
    ['without line breaks', list.replaceAll(/[\n\t]/g, '')],
  ])('%s', (_name, text) => {
    expect(read(text)).toEqual(expected);
  });

  test.each<readonly [string, string, [string | null, GroundedShape][]]>([
    ['one object, label first', '{"label": "cup", "bbox_2d": [1,2,3,4]}', [['cup', box(1, 2, 3, 4)]]],
    ['no label', '{"bbox_2d": [1, 2, 3, 4]}', [[null, box(1, 2, 3, 4)]]],
    ['read text', '{"bbox_2d": [1, 2, 3, 4], "text_content": "EXIT"}', [['EXIT', box(1, 2, 3, 4)]]],
    [
      'several boxes of one label',
      '{"bbox_2d": [[1,2,3,4],[5,6,7,8]], "label": "x"}',
      [
        ['x', box(1, 2, 3, 4)],
        ['x', box(5, 6, 7, 8)],
      ],
    ],
    ['corners the wrong way round', '{"bbox_2d": [30, 40, 10, 20]}', [[null, box(10, 20, 30, 40)]]],
    ['negative and large', '{"point_2d": [-3, 1e3]}', [[null, point(-3, 1000)]]],
    ['numbers beyond measure', '{"point_2d": [1, 1e999]} <point x="1e999" y="2"/>', []],
    ['three numbers', '{"bbox_2d": [1, 2, 3], "label": "x"}', []],
    ['words for numbers', '{"bbox_2d": ["a", 2, 3, 4]}', []],
    ['cut in the list', '[{"bbox_2d": [1, 2, 3, 4], "label": "x"}, {"bbox_2d": [5, 6, 7', [['x', box(1, 2, 3, 4)]]],
    ['cut in a label', '[{"bbox_2d": [1, 2, 3, 4], "label": "a lon', [[null, box(1, 2, 3, 4)]]],
    ['cut in a key', '[{"point_2d": [1, 2], "lab', [[null, point(1, 2)]]],
    [
      'a reference and a box',
      '<|object_ref_start|>the cat<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>',
      [['the cat', box(1, 2, 3, 4)]],
    ],
    [
      'two boxes of a reference',
      '<|object_ref_start|>a<|object_ref_end|><|box_start|>(1, 2), (3, 4)<|box_end|><|box_start|>(5,6),(7,8)<|box_end|>',
      [
        ['a', box(1, 2, 3, 4)],
        ['a', box(5, 6, 7, 8)],
      ],
    ],
    ['a cut box', '<|box_start|>(1,2),(3,4)', []],
    [
      'points',
      '<points x1="1" y1="2.5" x2="3" y2="4" alt="two dogs">dogs</points>',
      [
        ['two dogs', point(1, 2.5)],
        ['two dogs', point(3, 4)],
      ],
    ],
    ['a point labelled by its text', 'See <point x="1" y="2">nose</point>.', [['nose', point(1, 2)]]],
    [
      'a tag and then JSON',
      '<point x="1" y="2" alt="a"/> {"point_2d": [3, 4]}',
      [
        ['a', point(1, 2)],
        [null, point(3, 4)],
      ],
    ],
    ['none', 'There is no (1,2) here, [3, 4] neither.', []],
  ])('%s', (_name, text, shapes) => {
    expect(read(text)).toEqual(shapes);
  });

  test('a quad', () => {
    const corners = [
      { x: 1, y: 2 },
      { x: 3, y: 4 },
      { x: 5, y: 6 },
      { x: 7, y: 8 },
    ];
    const text = '<|quad_start|>(1,2),(3,4),(5,6),(7,8)<|quad_end|>';
    expect(read(text)).toEqual([[null, { kind: 'polygon', corners }]]);
    const original: GroundedShape = { kind: 'polygon', corners: corners.map(({ x, y }) => ({ x: 2 * x, y: 2 * y })) };
    expect(formatGrounding([{ label: null, shape: original }], half, 'tags')).toBe(text);
  });
});

describe('coordinates', () => {
  test('the original image, clamped if asked', () => {
    const text = '{"bbox_2d": [-10, 20, 290, 40]}';
    expect(parseGrounding(text, half)[0]!.original).toEqual(box(-20, 40, 580, 80));
    expect(parseGrounding(text, half, { clamp: true })[0]!.original).toEqual(box(0, 40, 560, 80));
    expect(parseGrounding(text, half, { clamp: true })[0]!.resized).toEqual(box(-10, 20, 290, 40));
  });

  const side = fc.integer({ min: 20, max: 4000 });
  const geometry = fc
    .tuple(side, side)
    .map(([height, width]) => new ImageProcessor(publishedPreprocessorConfig()).geometry(height, width));
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  const within = (size: { width: number; height: number }, x: number, y: number): Point => ({
    x: x * size.width,
    y: y * size.height,
  });

  test('boxes go to the resized image and come back', () => {
    fc.assert(
      fc.property(geometry, place, place, place, place, (image, a, b, c, d) => {
        const [from, to] = [within(image.original, a, b), within(image.original, c, d)];
        const drawn: Box = {
          x: Math.min(from.x, to.x),
          y: Math.min(from.y, to.y),
          width: Math.abs(from.x - to.x),
          height: Math.abs(from.y - to.y),
        };
        const back = toOriginalBox(image, toResizedBox(image, drawn));
        for (const key of ['x', 'y', 'width', 'height'] as const) expect(back[key]).toBeCloseTo(drawn[key], 6);
      }),
    );
  });

  test('what is written is read again, within half a resized pixel', () => {
    const shape = fc.oneof(
      fc.tuple(place, place, place, place).map((at) => ({ kind: 'box' as const, at })),
      fc.tuple(place, place).map((at) => ({ kind: 'point' as const, at })),
    );
    const label = fc.option(fc.string({ unit: 'grapheme', maxLength: 12 }), { nil: null });
    fc.assert(
      fc.property(geometry, fc.array(fc.record({ label, shape }), { maxLength: 6 }), (image, drawn) => {
        const items = drawn.map(({ label: name, shape: { kind, at } }): LabelledShape => {
          const first = within(image.original, at[0], at[1]);
          if (kind === 'point') return { label: name, shape: { kind, point: first } };
          const second = within(image.original, at[2], at[3]);
          return {
            label: name,
            shape: box(
              Math.min(first.x, second.x),
              Math.min(first.y, second.y),
              Math.max(first.x, second.x),
              Math.max(first.y, second.y),
            ),
          };
        });
        const back = parseGrounding(formatGrounding(items, image), image);
        expect(back.map((item) => item.label)).toEqual(items.map((item) => item.label));
        const tolerance = {
          x: (0.5 * image.original.width) / image.resized.width + 1e-6,
          y: (0.5 * image.original.height) / image.resized.height + 1e-6,
        };
        for (const [index, item] of items.entries()) {
          const [wanted, found] = [cornersOf(item.shape), cornersOf(back[index]!.original)];
          expect(found).toHaveLength(wanted.length);
          for (const [corner, { x, y }] of wanted.entries()) {
            expect(Math.abs(found[corner]!.x - x)).toBeLessThanOrEqual(tolerance.x);
            expect(Math.abs(found[corner]!.y - y)).toBeLessThanOrEqual(tolerance.y);
          }
        }
      }),
    );
  });

  test('written answers are those of the model', () => {
    const items: LabelledShape[] = [
      { label: 'cat', shape: box(20, 40, 60, 80) },
      { label: null, shape: point(1, 1000) },
    ];
    expect(formatGrounding(items, half)).toBe(
      '```json\n[\n\t{"bbox_2d": [10, 20, 30, 40], "label": "cat"},\n\t{"point_2d": [1, 140]}\n]\n```',
    );
    expect(formatGrounding(items.slice(0, 1), half, 'tags')).toBe(
      '<|object_ref_start|>cat<|object_ref_end|><|box_start|>(10,20),(30,40)<|box_end|>',
    );
    expect(() => formatGrounding(items, half, 'tags')).toThrow(/no notation for a point; use json/);
    expect(() => formatGrounding([{ label: '', shape: point(NaN, 1) }], half)).toThrow(InvalidInputError);
    expect(toOriginalPoint(half, { x: 999, y: -1 }, { clamp: true })).toEqual({ x: 560, y: 0 });
  });
});

function cornersOf(shape: GroundedShape): readonly Point[] {
  if (shape.kind === 'point') return [shape.point];
  if (shape.kind === 'polygon') return shape.corners;
  const { x, y, width, height } = shape.box;
  return [
    { x, y },
    { x: x + width, y: y + height },
  ];
}

describe('hostile text', () => {
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    '"',
    '\\',
    '\\"',
    ',',
    ':',
    '\n',
    ' ',
    '1',
    '-',
    '.',
    'e',
    '1e999',
    '"bbox_2d":',
    '"point_2d": [1,',
    '"label":"',
    '<',
    '>',
    '<|box_start|>',
    '<|box_end|>',
    '(1,2),',
    '<|object_ref_start|>',
    '<|quad_start|>',
    '<points ',
    '</point',
    'x1="',
    'alt=',
    '=',
    'é',
    '\u{1f600}',
    '\ud800',
  ] as const;

  test('anything is read without throwing, and numbers are finite', () => {
    const text = fc
      .array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 4 })), { maxLength: 40 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (value) => {
        for (const { resized } of parseGrounding(value, half))
          for (const { x, y } of cornersOf(resized)) expect(Number.isFinite(x) && Number.isFinite(y)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  // A quadratic walk over a million characters would not end.
  test.each([...pieces, '{"', '"\\', '{"bbox_2d":[', '<points x="', '<points >', '"label":"\n', '{"a":', '[[', '{{"'])(
    'a million times %j',
    (piece) => {
      parseGrounding(`{${piece.repeat(Math.ceil(1e6 / piece.length))}`, half);
    },
  );

  test.each(['<|box_start|>', '<|quad_start|>', '<|object_ref_start|>', '<points x', '<point >'])(
    'an end that never comes is searched for once: %s',
    (start) => {
      const search = vi.spyOn(String.prototype, 'indexOf');
      try {
        parseGrounding(start.repeat(1000), half);
        const inVain = search.mock.results.filter(({ value }) => value === -1);
        expect(inVain.length).toBeLessThan(5);
      } finally {
        search.mockRestore();
      }
    },
  );
});
