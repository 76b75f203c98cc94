/**
 * Random graphs, forward and gradient, computed in every way there is: evaluated, compiled, with donation, with and
 * without checkpoints, through fused loops and through primitives only.
 */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { type Device, type Tensor, compile, createReferenceDevice, evaluate } from '../../src/index.js';
import {
  type GraphRecipe,
  type HostTensor,
  type Tolerance,
  arbitraryGraph,
  assertClose,
  buildGraph,
  checkGradients,
  exact,
  graphLoss,
  graphWithGradients,
  readBack,
  toTensor,
} from '../../src/testing/index.js';

const engine = (decomposeFused = false): Device => createReferenceDevice({ precision: 'f64', decomposeFused });

interface Way {
  readonly device?: Device;
  readonly checkpoints?: boolean;
}

const hosts = (values: readonly Tensor[]): Promise<HostTensor[]> => Promise.all(values.map((value) => readBack(value)));

async function evaluated(
  recipe: GraphRecipe,
  { device = engine(), checkpoints = true }: Way = {},
): Promise<HostTensor[]> {
  const values = graphWithGradients(recipe, recipe.inputs.map(toTensor), { checkpoints });
  return hosts(await evaluate(values, { device }));
}

function compareAll(actual: readonly HostTensor[], expected: readonly HostTensor[], tolerance: Tolerance): void {
  expected.forEach((value, i) => assertClose(actual[i]!, value, `value ${i} of ${expected.length}`, tolerance));
}

const rounding: Tolerance = { absolute: 1e-9, relative: 1e-7, norm: 1e-9 };
const graphs = arbitraryGraph({ maxSteps: 12 });

describe('random graphs', () => {
  it('compile equals evaluate to the last bit, on each call, with donation and without', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async (recipe) => {
        const expected = await evaluated(recipe);
        const device = engine();
        const build = (inputs: readonly Tensor[]): Tensor[] => graphWithGradients(recipe, inputs);
        const [kept, given] = [compile(build, { device }), compile(build, { device, donate: [0] })];
        for (let call = 0; call < 2; call++) {
          compareAll(await hosts(await kept(recipe.inputs.map(toTensor))), expected, exact);
          compareAll(await hosts(await given(recipe.inputs.map(toTensor))), expected, exact);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('fused loops equal primitives', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async (recipe) => {
        compareAll(await evaluated(recipe), await evaluated(recipe, { device: engine(true) }), rounding);
      }),
      { numRuns: 300 },
    );
  });

  it('checkpoints change nothing', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async (recipe) => {
        compareAll(await evaluated(recipe), await evaluated(recipe, { checkpoints: false }), rounding);
      }),
      { numRuns: 300 },
    );
  });

  it('evaluating values one at a time equals evaluating them together', async () => {
    await fc.assert(
      fc.asyncProperty(graphs, async (recipe) => {
        const device = engine();
        const values = graphWithGradients(recipe, recipe.inputs.map(toTensor));
        const one: HostTensor[] = [];
        for (const value of values) one.push(await readBack(value, device));
        compareAll(one, await evaluated(recipe), exact);
      }),
      { numRuns: 100 },
    );
  });

  it('gradients agree with finite differences', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryGraph({ maxSteps: 5 }), async (recipe) => {
        await checkGradients((...inputs) => graphLoss(buildGraph(recipe, inputs, { smooth: true })), recipe.inputs, {
          samples: 3,
        });
      }),
      { numRuns: 100 },
    );
  });
});
