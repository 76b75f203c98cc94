/** One product after another of each size, by an engine of this project or by a peer. The result stays on the engine. */
import { engineNames } from '../engines.ts';
import { peerProducts } from '../peers/products.ts';
import type { Json, OpenSubject, Sample } from '../process/subject.ts';
import { type MatmulShape, checkProduct, matmulShapes, operandA, operandB } from './matmul-shapes.ts';
import { ownProduct } from './own-product.ts';

/** A product ready to run again and again. */
export interface Product {
  run(): Promise<void> | void;
  /** C of the last run. */
  read(): Promise<ArrayLike<number>> | ArrayLike<number>;
}

export type PrepareProduct = (shape: MatmulShape, a: Float32Array, b: Float32Array) => Promise<Product>;

interface MatmulOptions {
  readonly [key: string]: Json;
  readonly engine: string;
  /** Milliseconds to repeat a product for in one sample. */
  readonly milliseconds: number;
}

const MOST_REPETITIONS = 1000;

export const open: OpenSubject<MatmulOptions> = async ({ engine, milliseconds }) => {
  const own = engineNames.find((name) => name === engine);
  const prepare = own ? ownProduct(own) : await peerProducts(engine);
  const products: { readonly shape: MatmulShape; readonly product: Product }[] = [];
  for (const shape of matmulShapes) {
    const product = await prepare(shape, operandA(shape), operandB(shape));
    await product.run();
    checkProduct(shape, await product.read());
    products.push({ shape, product });
  }
  return {
    async sample() {
      const times: Record<string, number> = {};
      for (const { shape, product } of products) times[shape.name] = await meanTime(product, milliseconds);
      return times satisfies Sample;
    },
    details: () => Promise.resolve({}),
  };
};

async function meanTime({ run }: Product, milliseconds: number): Promise<number> {
  const start = performance.now();
  let elapsed = 0;
  let repetitions = 0;
  while (elapsed < milliseconds && repetitions < MOST_REPETITIONS) {
    await run();
    repetitions++;
    elapsed = performance.now() - start;
  }
  return elapsed / repetitions;
}
