/** One product after another of each size, by an engine of this project or by a peer. The result stays on the engine. */
import { engineNames } from '../engines.ts';
import { peerProducts } from '../peers/products.ts';
import type { Json, OpenSubject, Sample } from '../process/subject.ts';
import { type Work, meanTime } from '../work.ts';
import {
  type MatmulShape,
  type MatmulShapeName,
  checkProduct,
  matmulShapes,
  operandA,
  operandB,
} from './matmul-shapes.ts';
import { ownProduct } from './own-product.ts';

export type PrepareProduct = (shape: MatmulShape, a: Float32Array, b: Float32Array) => Promise<Work>;

interface MatmulOptions {
  readonly [key: string]: Json;
  readonly engine: string;
  readonly shapes: readonly MatmulShapeName[];
  /** Milliseconds to repeat a product for in one sample. */
  readonly milliseconds: number;
}

export const open: OpenSubject<MatmulOptions> = async ({ engine, shapes, milliseconds }) => {
  const own = engineNames.find((name) => name === engine);
  const prepare = own ? ownProduct(own) : await peerProducts(engine);
  const products = new Map<MatmulShapeName, Work>();
  for (const name of shapes) {
    const shape = matmulShapes[name];
    const product = await prepare(shape, operandA(shape), operandB(shape));
    await product.run();
    checkProduct(name, await product.read());
    products.set(name, product);
  }
  return {
    async sample() {
      const times: Record<string, number> = {};
      for (const [name, product] of products) times[name] = await meanTime(product, milliseconds);
      return times satisfies Sample;
    },
    details: () => Promise.resolve({}),
  };
};
