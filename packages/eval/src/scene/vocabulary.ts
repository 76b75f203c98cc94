/**
 * What a scene can contain: four shapes in five colours.
 *
 * The shapes differ in what fills their bounding box (all of it, all but the corners, half, a plus), so that they stay apart
 * at 14 to 22 pixels; the colours differ in hue by at least 45 degrees and all stand out from a light grey background.
 */

/** The shapes' names, singular. The order is part of the canonical scene form: append, never reorder. */
export const SHAPES = ['circle', 'square', 'triangle', 'cross'] as const;

/** One of {@link SHAPES}. */
export type Shape = (typeof SHAPES)[number];

/** The colours' names. The order is part of the canonical scene form: append, never reorder. */
export const COLORS = ['red', 'green', 'blue', 'yellow', 'purple'] as const;

/** One of {@link COLORS}. */
export type Color = (typeof COLORS)[number];

/** A kind of object: what a question can ask for. */
export interface ObjectKind {
  readonly shape: Shape;
  readonly color: Color;
}

/** sRGB, 0 to 255. */
export type Rgb = readonly [red: number, green: number, blue: number];

/** Each colour's centre in sRGB; a scene varies it a little per object. */
export const COLOR_RGB: Readonly<Record<Color, Rgb>> = {
  red: [214, 36, 36],
  green: [30, 150, 60],
  blue: [36, 84, 216],
  yellow: [238, 190, 10],
  purple: [146, 44, 180],
};

const PLURAL: Readonly<Record<Shape, string>> = {
  circle: 'circles',
  square: 'squares',
  triangle: 'triangles',
  cross: 'crosses',
};

/** The twenty kinds, in the order of the canonical scene form. */
export const KINDS: readonly ObjectKind[] = SHAPES.flatMap((shape) => COLORS.map((color) => ({ shape, color })));

/** "red circle". */
export function kindName(kind: ObjectKind): string {
  return `${kind.color} ${kind.shape}`;
}

/** "red circles". */
export function kindNamePlural(kind: ObjectKind): string {
  return `${kind.color} ${PLURAL[kind.shape]}`;
}

/** "circles". */
export function shapePlural(shape: Shape): string {
  return PLURAL[shape];
}

/** Whether two kinds agree in shape and in colour. */
export function sameKind(a: ObjectKind, b: ObjectKind): boolean {
  return a.shape === b.shape && a.color === b.color;
}
