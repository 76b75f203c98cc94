/**
 * V8's revectorisation: its optimising compiler joins two 128-bit instructions that work side by side into one of 256 bits.
 *
 * It is an experiment of V8's, off unless a switch is set, and cannot be asked about; so it is switched on for the compilation
 * of this package's modules only, and whether it joins anything is seen by timing a loop that it must halve. What the compiled
 * kernels compute is compared bit for bit with what they compute unjoined before they are used (self-test.ts).
 */
import { f32x4, i32, ModuleBuilder, v128 } from '../emit/index.js';
import { withEngineSwitches } from '../threads/environment.js';

/** Joining happens in the optimising compiler, and only if it is the one that compiles, at once. */
const SWITCHES = [
  ['--experimental-wasm-revectorize', '--no-experimental-wasm-revectorize'],
  ['--no-liftoff', '--liftoff'],
  ['--no-wasm-lazy-compilation', '--wasm-lazy-compilation'],
] as const;

/** @throws Error where the host has no such switches: ask `canRevectorize` first. */
export function compileRevectorized(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const module = withEngineSwitches(SWITCHES, () => new WebAssembly.Module(bytes));
  if (!module) throw new Error('wasm-backend: this host cannot revectorise WebAssembly; choose the tier "relaxed"');
  return module;
}

/** An empty custom section named `plain`. */
const PLAIN = [0x00, 0x06, 0x05, ...new TextEncoder().encode('plain')];

/** The same instructions, not joined: bytes that differ, as V8 returns the code that it compiled first for equal ones. */
export function compileUnjoined(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  const other = new Uint8Array(bytes.length + PLAIN.length);
  other.set(bytes);
  other.set(PLAIN, bytes.length);
  return new WebAssembly.Module(other);
}

let known: boolean | undefined;

/** Whether the compiler of this process joins instructions; found out once, in about two milliseconds. */
export function canRevectorize(): boolean {
  return (known ??= probe());
}

/** Twice the width halves the time; a machine that is busy elsewhere stretches it. */
const LEAST_GAIN = 1.35;
const STEPS = 4096;
const TRIALS = 96;

function probe(): boolean {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const run = (module: WebAssembly.Module): ((count: number) => void) =>
    new WebAssembly.Instance(module, { env: { memory } }).exports['chains'] as (count: number) => void;
  try {
    const joined = withEngineSwitches(SWITCHES, () => new WebAssembly.Module(chains('joined')));
    if (!joined) return false;
    // The same compiler, so that only the width differs.
    const plain = withEngineSwitches(SWITCHES.slice(1), () => new WebAssembly.Module(chains('plain')))!;
    const [fast, slow] = [run(joined), run(plain)];
    let [fastest, slowest] = [Infinity, Infinity];
    for (let trial = 0; trial < TRIALS; trial += 1) {
      fastest = Math.min(
        fastest,
        timed(() => fast(STEPS)),
      );
      slowest = Math.min(
        slowest,
        timed(() => slow(STEPS)),
      );
      if (trial >= 4 && fastest * LEAST_GAIN < slowest) return true;
    }
    return false;
  } catch {
    // No relaxed SIMD, or no such switch.
    return false;
  }
}

function timed(body: () => void): number {
  const start = performance.now();
  body();
  return performance.now() - start;
}

/**
 * Fourteen chains of multiply-adds: as many as registers hold, so that two a cycle take longer than the latency of one, and
 * seven of twice the width do not.
 */
function chains(label: string): Uint8Array<ArrayBuffer> {
  const count = 14;
  const module = new ModuleBuilder({ label });
  const signature = { name: 'chains', parameters: { steps: 'i32' }, result: 'void', exported: true } as const;
  module.function(signature, (f, { steps }) => {
    const at = f.let('at', i32.const(0));
    const factor = f.let('factor', v128.load32Splat(at));
    const sums = Array.from({ length: count }, (_, i) => f.let('sum', v128.load(at, 16 * i)));
    f.countDown(steps, 1, () => {
      for (const sum of sums) f.set(sum, f32x4.relaxedMadd(sum, factor, factor));
    });
    f.do(...sums.map((sum, i) => v128.store(at, sum, 16 * i)));
  });
  return module.encode();
}
