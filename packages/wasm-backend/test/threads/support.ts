/** What tests of threads share: small kernels whose effect on every cell can be foretold, and scripts of threads that die. */
import { ModuleBuilder, i32 } from '../../src/emit/index.js';
import type { Threads } from '../../src/threads/threads.js';
import { threadSource } from '../../src/threads/worker-source.js';

type Kernel = (...values: number[]) => unknown;

/** Kernels of one module: `at` a byte offset, cells are i32, indices count from `at`. */
export interface CellKernels {
  /** `cell[i] = cell[i] * 3 + i * factor + salt`, for `size` cells from `from`; a second time would show. */
  readonly step: Kernel;
  /** The same with the roles of `factor` and `salt` exchanged. */
  readonly turn: Kernel;
  /** `cell[from] = 10 / divisor`; traps when `divisor` is 0. */
  readonly divide: Kernel;
  /** Waits until as many parts as there are have come here, and sets `cell[parts + part]` to 1; gives up after `rounds`. */
  readonly meet: Kernel;
}

export const newMemory = (pages = 1, maximum = 16): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: pages, maximum, shared: true });

const cells = { at: 'i32', from: 'i32', size: 'i32', factor: 'i32' } as const;

/** A module of its own for each salt, installed on all threads. */
export function installKernels(threads: Threads, memory: WebAssembly.Memory, salt: number): CellKernels {
  const builder = new ModuleBuilder({ sharedMemory: true });
  for (const name of ['step', 'turn'])
    builder.function({ name, parameters: cells, result: 'void', exported: true }, (f, { at, from, size, factor }) => {
      const index = f.let('index', i32.add(from, 0));
      const [scale, offset] = name === 'step' ? [factor, i32.const(salt)] : [i32.const(salt), factor];
      f.countDown(size, 1, () => {
        const address = f.let('address', i32.add(at, i32.mul(index, 4)));
        const added = i32.add(i32.mul(index, scale), offset);
        f.do(i32.store(address, i32.add(i32.mul(i32.load(address), 3), added)));
        f.set(index, i32.add(index, 1));
      });
    });
  const division = { at: 'i32', from: 'i32', divisor: 'i32' } as const;
  builder.function(
    { name: 'divide', parameters: division, result: 'void', exported: true },
    (f, { at, from, divisor }) => {
      f.do(i32.store(i32.add(at, i32.mul(from, 4)), i32.divUnsigned(10, divisor)));
    },
  );
  const meeting = { at: 'i32', part: 'i32', parts: 'i32', rounds: 'i32' } as const;
  builder.function(
    { name: 'meet', parameters: meeting, result: 'void', exported: true },
    (f, { at, part, parts, rounds }) => {
      const cell = (place: Parameters<typeof i32.add>[0]): ReturnType<typeof i32.add> => i32.add(at, i32.mul(place, 4));
      f.do(i32.store(cell(part), i32.const(1)));
      const index = f.local('i32', 'index');
      const come = f.local('i32', 'come');
      f.countDown(rounds, 1, () => {
        f.set(come, i32.const(0));
        f.for({ index, from: i32.const(0), below: parts, step: 1 }, () =>
          f.set(come, i32.add(come, i32.load(cell(index)))),
        );
        f.if(i32.eq(come, parts), () => {
          f.do(i32.store(cell(i32.add(parts, part)), i32.const(1)));
          f.return();
        });
      });
    },
  );
  const module = new WebAssembly.Module(builder.encode());
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  threads.install({ module, imports: { memory } }, exports);
  return exports as unknown as CellKernels;
}

/** What `step` and `turn` make of a cell. */
export const EXPECTED: Readonly<
  Record<'step' | 'turn', (x: number, i: number, factor: number, salt: number) => number>
> = {
  step: (x, i, factor, salt) => (Math.imul(x, 3) + Math.imul(i, factor) + salt) | 0,
  turn: (x, i, factor, salt) => (Math.imul(x, 3) + Math.imul(i, salt) + factor) | 0,
};

/**
 * The script of a thread that runs `statement` instead of any part whose last argument is `FATAL`.
 * @param statement sees the arguments of the part as `values`.
 */
export const fatalSource = (statement: string): string => `
const apply = Reflect.apply;
Reflect.apply = (kernel, self, values) => {
  if (values[values.length - 1] === ${FATAL}) { ${statement} }
  return apply(kernel, self, values);
};
${threadSource}`;

export const FATAL = 0x0dead;
