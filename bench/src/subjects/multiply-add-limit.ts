/** What products would take if the processor did nothing but multiply-adds of one width, one core. */
import { type VectorWidth, multiplyAddLimit } from '../limits/multiply-add.ts';
import type { Json, OpenSubject } from '../process/subject.ts';
import { median } from '../rounds.ts';
import { type MatmulShapeName, gigaflop, matmulShapes } from './matmul-shapes.ts';

interface LimitOptions {
  readonly [key: string]: Json;
  readonly width: VectorWidth;
  readonly shapes: readonly MatmulShapeName[];
}

export const open: OpenSubject<LimitOptions> = ({ width, shapes }) => {
  const limit = multiplyAddLimit(width);
  const measured: number[] = [];
  return Promise.resolve({
    sample() {
      const rate = limit.measure();
      measured.push(rate);
      const times = shapes.map((name) => [name, (gigaflop(matmulShapes[name]) / rate) * 1000] as const);
      return Promise.resolve(Object.fromEntries(times));
    },
    details: () => Promise.resolve({ gigaflopPerSecond: median(measured), best: Math.max(...measured) }),
  });
};
