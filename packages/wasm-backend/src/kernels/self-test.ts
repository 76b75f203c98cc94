/**
 * Trust in the tier `revectorized`, which rests on an experiment of V8's.
 *
 * Before a family of kernels is first used in a process, it is compiled twice, with instructions joined and not joined, and both
 * compute the family's cases (self-test-cases.ts). Only where every bit agrees is the joined code used; else the family runs
 * unjoined, and the reason is told. Families without a case, in which nothing is rounded, are not joined.
 */
import type { Compile } from './engine.js';
import type { Kernels } from './kernels.js';
import { compileRevectorized, compileUnjoined } from './revectorize.js';
import { type SelfTestCase, SELF_TEST_CASES } from './self-test-cases.js';
import { Workspace } from './self-test-workspace.js';
import { type Tier, compileFor, probeTier } from './tier.js';

export interface TierChoice {
  readonly tier: Tier;
  /** Why this one, in words, and which families failed so far. */
  readonly reason: () => string;
}

/** The kernels of `revectorized`, compiled in some way, on a memory of `SELF_TEST_PAGES` pages of their own and one thread. */
export type KernelsBy = (compile: Compile) => Kernels;

/**
 * What two sets of kernels differ in on small inputs; undefined where they agree in every bit.
 *
 * @param actual on a memory of at least `SELF_TEST_PAGES` pages. @param expected likewise.
 */
export function firstDifference(
  actual: Kernels,
  expected: Kernels,
  cases: readonly SelfTestCase[] = SELF_TEST_CASES,
): string | undefined {
  const [one, other] = [new Workspace(actual), new Workspace(expected)];
  for (const { name, run } of cases) {
    try {
      run(one);
      run(other);
    } catch (error) {
      return `${name}: ${error instanceof Error ? error.message : String(error)}`;
    }
    const [got, wanted] = [one.take(), other.take()];
    for (let i = 0; i < wanted.length; i += 1)
      if (got[i] !== wanted[i]) return `${name} differs in word ${i} of ${wanted.length}`;
  }
  return undefined;
}

/** What failed in this process, by module and kind of memory. */
const distrusted = new Map<string, string>();
const BEST = 'the best that this engine has';

/**
 * The tier for this engine.
 *
 * @param revectorize false takes `revectorized` out of the choice.
 * @throws Error if the engine has no WebAssembly SIMD at all.
 */
export function chooseTier(revectorize: boolean): TierChoice {
  const tier = probeTier(revectorize ? undefined : 'relaxed');
  if (tier !== 'revectorized')
    return { tier, reason: () => (revectorize ? BEST : `${BEST}; revectorisation is switched off`) };
  return {
    tier,
    reason() {
      const failures = [...distrusted.values()].join('; ');
      const trust = 'this engine joins instructions, and kernels pass a bit check before they are first used';
      return failures === '' ? trust : `${trust}, but for these, which are not joined: ${failures}`;
    },
  };
}

const verdicts = new Map<string, boolean>();

/** Compiles modules for a tier that was chosen: joined where that can be trusted. */
export function checkedCompile(tier: Tier, kernelsBy: KernelsBy): Compile {
  if (tier !== 'revectorized') return (bytes) => compileFor(tier, bytes);
  let pair: readonly [Kernels, Kernels] | undefined;
  return (bytes, module) => {
    const key = `${module.family} ${module.sharedMemory}`;
    let trusted = verdicts.get(key);
    if (trusted === undefined) {
      const cases = SELF_TEST_CASES.filter(({ families }) => families.includes(module.family));
      const difference = (): string | undefined => {
        try {
          pair ??= [kernelsBy(compileRevectorized), kernelsBy(compileUnjoined)];
          return firstDifference(...pair, cases);
        } catch (error) {
          return error instanceof Error ? error.message : String(error);
        }
      };
      const failure = cases.length === 0 ? undefined : difference();
      if (failure !== undefined) distrusted.set(key, failure);
      trusted = cases.length > 0 && failure === undefined;
      verdicts.set(key, trusted);
    }
    return trusted ? compileRevectorized(bytes) : compileUnjoined(bytes);
  };
}

/** Forgets what was found out in this process; for tests. */
export function forgetVerdicts(): void {
  verdicts.clear();
  distrusted.clear();
}
