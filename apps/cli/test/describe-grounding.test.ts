import { parseGrounding } from '@mindseye/qwen-vl';
import { expect, test } from 'vitest';
import { describeGrounding } from '../src/ask/describe-grounding.js';

test('boxes, points and corners in pixels of the picture', () => {
  const geometry = { original: { width: 200, height: 100 }, resized: { width: 100, height: 100 } };
  const lines = (text: string): string[] => parseGrounding(text, geometry).map(describeGrounding);
  expect(lines('[{"bbox_2d": [10, 20, 30, 40], "label": "car"}]')).toEqual([
    'box car: (20, 20) to (60, 40), in pixels of the picture',
  ]);
  expect(lines('[{"point_2d": [10, 20]}]')).toEqual(['point: (20, 20), in pixels of the picture']);
  expect(lines('<|quad_start|>(1,2),(3,4),(5,6),(7,8)<|quad_end|>')).toEqual([
    'polygon: (2, 2) (6, 4) (10, 6) (14, 8), in pixels of the picture',
  ]);
});
