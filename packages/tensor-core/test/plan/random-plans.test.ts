/**
 * Planned equals unplanned: random graphs, forward and gradient, through every pass of the plan compiler and each of them
 * alone, with donation, checkpoints and decomposition on and off, executed on real bytes.
 */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import {
  type Device,
  type PlanPasses,
  type Tensor,
  compile,
  createReferenceDevice,
  evaluate,
  noPasses,
} from '../../src/index.js';
import {
  type GraphRecipe,
  type HostTensor,
  type Tolerance,
  arbitraryGraph,
  assertClose,
  createArenaDevice,
  exact,
  graphWithGradients,
  readBack,
  toTensor,
} from '../../src/testing/index.js';

interface Way {
  readonly passes: PlanPasses;
  readonly decomposeFused: boolean;
  readonly checkpoints: boolean;
  readonly donate: boolean;
}

const passNames = Object.keys(noPasses) as (keyof PlanPasses)[];
const arbitraryPasses: fc.Arbitrary<PlanPasses> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<PlanPasses>({}) },
  { weight: 1, arbitrary: fc.constantFrom(...passNames).map((name) => ({ ...noPasses, [name]: true })) },
  { weight: 1, arbitrary: fc.constantFrom(...passNames).map((name) => ({ [name]: false })) },
);
const arbitraryWay: fc.Arbitrary<Way> = fc.record({
  passes: arbitraryPasses,
  decomposeFused: fc.boolean(),
  checkpoints: fc.boolean(),
  donate: fc.boolean(),
});

const hosts = (values: readonly Tensor[]): Promise<HostTensor[]> => Promise.all(values.map((value) => readBack(value)));

async function run(
  recipe: GraphRecipe,
  device: Device,
  { checkpoints, donate }: Pick<Way, 'checkpoints' | 'donate'>,
): Promise<HostTensor[]> {
  const build = (inputs: readonly Tensor[]): Tensor[] => graphWithGradients(recipe, inputs, { checkpoints });
  const compiled = compile(build, { device, donate: donate ? [0] : [] });
  return hosts(await compiled(recipe.inputs.map(toTensor)));
}

const unplanned = (recipe: GraphRecipe, way: Way): Promise<HostTensor[]> =>
  run(recipe, createReferenceDevice({ decomposeFused: way.decomposeFused }), {
    checkpoints: way.checkpoints,
    donate: false,
  });

function compareAll(actual: readonly HostTensor[], expected: readonly HostTensor[], tolerance: Tolerance): void {
  expected.forEach((value, i) => assertClose(actual[i]!, value, `value ${i} of ${expected.length}`, tolerance));
}

/** Recognised patterns run the fused op's loops, which round elsewhere than the primitives. */
const rounding: Tolerance = { absolute: 2e-4, relative: 2e-3, norm: 2e-5 };

describe('plans of random graphs', () => {
  it('compute on shared and overwritten bytes what unplanned graphs compute, to the last bit', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryGraph(), arbitraryWay, async (recipe, way) => {
        const device = createArenaDevice({
          decomposeFused: way.decomposeFused,
          passes: { ...way.passes, recognise: false },
        });
        compareAll(await run(recipe, device, way), await unplanned(recipe, way), exact);
      }),
      { numRuns: 1500 },
    );
  });

  it('with recognised patterns agree to rounding', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryGraph(), arbitraryWay, async (recipe, way) => {
        const decomposed = createReferenceDevice({ decomposeFused: true });
        const expected = await run(recipe, decomposed, { ...way, donate: false });
        compareAll(await run(recipe, createArenaDevice({ passes: way.passes }), way), expected, rounding);
      }),
      { numRuns: 500 },
    );
  });

  it('evaluated twice come from the plan cache and give the same', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryGraph(), arbitraryPasses, async (recipe, passes) => {
        const device = createArenaDevice();
        const once = async (): Promise<HostTensor[]> =>
          hosts(await evaluate(graphWithGradients(recipe, recipe.inputs.map(toTensor)), { device, passes }));
        compareAll(await once(), await once(), exact);
      }),
      { numRuns: 200 },
    );
  });
});
