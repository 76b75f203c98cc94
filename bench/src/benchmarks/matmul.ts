/** Products of matrices: this project, other libraries, native code, and what the processor could do at most. */
import { type Benchmark, figure, moduleOf, roundsOf } from '../benchmark.ts';
import { engineNames } from '../engines.ts';
import { vectorWidths } from '../limits/multiply-add.ts';
import { productPeerNames } from '../peers/products.ts';
import { pythonSubject } from '../python.ts';
import { type MatmulShapeName, gigaflop, matmulShapeNames, matmulShapes } from '../subjects/matmul-shapes.ts';

/** The reference loops are slower by tens of times: only what they do in a second or two. */
const REFERENCE_GIGAFLOP = 0.6;
const QUICK_GIGAFLOP = 0.3;

const shapesBelow = (most: number): MatmulShapeName[] =>
  matmulShapeNames.filter((name) => gigaflop(matmulShapes[name]) < most);

export const matmul: Benchmark = {
  summary: 'f32 matrix products m × k × n, one thread unless named, through each library’s public interface',
  rounds: roundsOf(7),
  subjects: ({ quick }) => {
    const milliseconds = quick ? 5 : 150;
    const shapes = shapesBelow(quick ? QUICK_GIGAFLOP : Infinity);
    const shapesOf = (engine: string): MatmulShapeName[] =>
      engine === 'reference' ? shapesBelow(quick ? QUICK_GIGAFLOP : REFERENCE_GIGAFLOP) : shapes;
    const sizes = shapes.map((name) => [name, ...(['m', 'n', 'k'] as const).map((axis) => matmulShapes[name][axis])]);
    return [
      ...[...engineNames, ...productPeerNames].map((engine) => ({
        name: engine,
        module: moduleOf('matmul'),
        options: { engine, shapes: shapesOf(engine), milliseconds },
      })),
      pythonSubject('OpenBLAS (AVX2)', 'bench_openblas', { shapes: sizes, milliseconds }),
      ...vectorWidths.map((width) => ({
        name: `limit of ${width}-bit multiply-adds`,
        module: moduleOf('multiply-add-limit'),
        options: { width, shapes },
      })),
    ];
  },
  show: (metric, median) => `${figure((gigaflop(matmulShapes[metric as MatmulShapeName]) / median) * 1000)} GFLOP/s`,
};
