/** Boxes and points of an answer for people, in pixels of their own picture. */
import type { GroundedShape, Grounding, Point } from '@mindseye/qwen-vl';

const at = ({ x, y }: Point): string => `(${Math.round(x)}, ${Math.round(y)})`;

const describe: { readonly [K in GroundedShape['kind']]: (shape: Extract<GroundedShape, { kind: K }>) => string } = {
  box: ({ box: { x, y, width, height } }) => `${at({ x, y })} to ${at({ x: x + width, y: y + height })}`,
  point: ({ point }) => at(point),
  polygon: ({ corners }) => corners.map(at).join(' '),
};

/** `box car: (10, 20) to (120, 80), in pixels of the picture` */
export function describeGrounding({ label, original }: Grounding): string {
  const place = (describe[original.kind] as (shape: GroundedShape) => string)(original);
  return `${original.kind}${label === null ? '' : ` ${label}`}: ${place}, in pixels of the picture`;
}
