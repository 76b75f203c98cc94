/**
 * The geometry of each shape at area 1, centred on its bounding box, y pointing down.
 *
 * Equal area is what equalises ink. With side a = 1:
 *   circle    r = 1/√π                                    width 1.128
 *   square    side 1                                      width 1
 *   triangle  isosceles, width = height = √2              width 1.414
 *   cross     five squares of side W/3, W = 3/√5          width 1.342
 */
import type { Shape } from '../scene/vocabulary.js';

/** One shape of area 1. */
export interface ShapeGeometry {
  readonly halfWidth: number;
  readonly halfHeight: number;
  /** Whether the point is inside the shape or on its edge. */
  inside(x: number, y: number): boolean;
}

const RADIUS = 1 / Math.sqrt(Math.PI);
const TRIANGLE_HALF = Math.SQRT2 / 2;
const CROSS_HALF = 1.5 / Math.sqrt(5);
const CROSS_ARM = CROSS_HALF / 3;

/** Geometry by shape: a new shape is one row here and one name in the vocabulary. */
export const SHAPE_GEOMETRY: Readonly<Record<Shape, ShapeGeometry>> = {
  circle: {
    halfWidth: RADIUS,
    halfHeight: RADIUS,
    inside: (x, y) => x * x + y * y <= RADIUS * RADIUS,
  },
  square: {
    halfWidth: 0.5,
    halfHeight: 0.5,
    inside: (x, y) => Math.abs(x) <= 0.5 && Math.abs(y) <= 0.5,
  },
  triangle: {
    halfWidth: TRIANGLE_HALF,
    halfHeight: TRIANGLE_HALF,
    // The apex is at the top; half the width grows by half a pixel per pixel downwards.
    inside: (x, y) => y <= TRIANGLE_HALF && Math.abs(x) <= (y + TRIANGLE_HALF) / 2,
  },
  cross: {
    halfWidth: CROSS_HALF,
    halfHeight: CROSS_HALF,
    inside: (x, y) => {
      const horizontal = Math.abs(x);
      const vertical = Math.abs(y);
      return (horizontal <= CROSS_HALF && vertical <= CROSS_ARM) || (horizontal <= CROSS_ARM && vertical <= CROSS_HALF);
    },
  },
};
