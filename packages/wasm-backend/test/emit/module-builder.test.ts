import { describe, expect, test } from 'vitest';
import { f32, f64, i32, ModuleBuilder, signedLeb128 } from '../../src/emit/index.js';
import type { Label } from '../../src/emit/index.js';
import { build, instantiate } from './support.js';

describe('control flow', () => {
  test('for: from, below and step, compared as unsigned', () => {
    const { run } = build({ from: 'i32', below: 'i32', step: 'i32' }, 'i32', (f, p) => {
      const [index, rounds] = [f.local('i32', 'index'), f.local('i32', 'rounds')];
      f.for({ index, from: p.from, below: p.below, step: p.step }, () => f.set(rounds, i32.add(rounds, 1)));
      f.return(i32.add(i32.mul(index, 1000), rounds));
    });
    expect(run(0, 0, 1)).toBe(0);
    expect(run(0, 10, 3)).toBe(12_004);
    expect(run(5, 3, 1)).toBe(5000);
    expect(run(-3, -1, 1)).toBe(-1000 + 2);
  });

  test('countDown runs while enough is left', () => {
    const { run } = build({ count: 'i32' }, 'i32', (f, p) => {
      const [fours, ones] = [f.local('i32', 'fours'), f.local('i32', 'ones')];
      f.countDown(p.count, 4, () => f.set(fours, i32.add(fours, 1)));
      f.countDown(p.count, 1, () => f.set(ones, i32.add(ones, 1)));
      f.return(i32.add(i32.mul(fours, 10), ones));
    });
    expect([0, 1, 4, 7, 8, 11].map((count) => run(count))).toEqual([0, 1, 10, 13, 20, 23]);
  });

  test('if and else, blocks left early, loops repeated: the Collatz length', () => {
    const { run } = build({ n: 'i32' }, 'i32', (f, { n }) => {
      const steps = f.local('i32', 'steps');
      f.block((done) => {
        f.loop((again) => {
          f.branchIf(done, i32.eq(n, 1));
          f.if(
            i32.and(n, 1),
            () => f.set(n, i32.add(i32.mul(n, 3), 1)),
            () => f.set(n, i32.shrUnsigned(n, 1)),
          );
          f.set(steps, i32.add(steps, 1));
          f.branch(again);
        });
      });
      f.return(steps);
    });
    expect([1, 2, 7, 27].map((n) => run(n))).toEqual([0, 1, 16, 111]);
  });

  test('return leaves from inside a block', () => {
    const { run } = build({ x: 'i32' }, 'i32', (f, { x }) => {
      f.if(x, () => f.return(i32.const(1)));
      f.return(i32.const(2));
    });
    expect([run(5), run(0)]).toEqual([1, 2]);
  });

  test('a branch to a closed block is refused', () => {
    expect(() =>
      build({}, 'void', (f) => {
        let escaped: Label | undefined;
        f.block((label) => {
          escaped = label;
        });
        f.branch(escaped as Label);
      }),
    ).toThrow(/run: branch to a block that is already closed/);
  });
});

describe('calls', () => {
  test('direct calls, with and without a result', () => {
    const module = new ModuleBuilder();
    const square = module.function(
      { name: 'square', parameters: { x: 'f32' }, result: 'f32', exported: false },
      (f, { x }) => f.return(f32.mul(x, x)),
    );
    const store = module.function(
      { name: 'store', parameters: { at: 'i32', x: 'f32' }, result: 'void', exported: false },
      (f, { at, x }) => f.do(f32.store(at, x)),
    );
    module.function({ name: 'run', parameters: { x: 'f32' }, result: 'f32', exported: true }, (f, { x }) => {
      f.callVoid(store, 8, f.call(square, x));
      f.return(f32.load(8));
    });
    const { exports } = instantiate(module);
    expect(exports['run']?.(3)).toBe(9);
    expect(Object.keys(exports)).toEqual(['run']);
  });

  test('indirect calls through the table', () => {
    const module = new ModuleBuilder();
    const writers = [10, 20, 30].map((value) =>
      module.function(
        { name: `write${value}`, parameters: { at: 'i32' }, result: 'void', exported: false },
        (f, { at }) => f.do(i32.store(at, value)),
      ),
    );
    expect(module.table(writers.slice(0, 1))).toBe(0);
    expect(module.table(writers.slice(1))).toBe(1);
    module.function({ name: 'run', parameters: { which: 'i32' }, result: 'i32', exported: true }, (f, { which }) => {
      f.callIndirectVoid(writers[0] as (typeof writers)[0], which, 4);
      f.return(i32.load(4));
    });
    const { exports } = instantiate(module);
    expect([0, 1, 2].map((which) => exports['run']?.(which))).toEqual([10, 20, 30]);
    expect(() => exports['run']?.(3)).toThrow(WebAssembly.RuntimeError);
  });

  test('wrong arguments are refused while writing', () => {
    const module = new ModuleBuilder();
    const target = module.function(
      { name: 'target', parameters: { x: 'f32' }, result: 'void', exported: false },
      () => {},
    );
    const write = (body: Parameters<typeof module.function>[1]): void =>
      void module.function({ name: 'run', parameters: {}, result: 'void', exported: true }, body);
    expect(() => write((f) => f.callVoid(target))).toThrow('run: target takes 1 arguments, got 0');
    expect(() => write((f) => f.callVoid(target, i32.const(1)))).toThrow('run: argument 0 of target is f32, got i32');
  });
});

describe('module', () => {
  test('locals of all types start as zero, in any order of declaration', () => {
    const { run } = build({ x: 'f32' }, 'f32', (f, { x }) => {
      const [a, , b] = [
        f.local('f32', 'a'),
        f.local('v128', 'v'),
        f.local('f32', 'b'),
        f.local('i32', 'i'),
        f.local('f64', 'd'),
      ];
      const sum = f.let('sum', f32.add(a, b));
      f.return(f32.add(sum, x));
    });
    expect(run(2)).toBe(2);
  });

  test('equal signatures share a type, and the name section holds the function names', () => {
    const module = new ModuleBuilder();
    for (const name of ['first', 'second']) {
      module.function({ name, parameters: { x: 'i32' }, result: 'i32', exported: true }, (f, { x }) => f.return(x));
    }
    const compiled = new WebAssembly.Module(module.encode());
    expect(WebAssembly.Module.customSections(compiled, 'name')).toHaveLength(1);
    const text = new TextDecoder('latin1').decode(module.encode());
    expect(text.split('\x60\x01\x7f\x01\x7f')).toHaveLength(2);
    expect(WebAssembly.Module.exports(compiled).map(({ name }) => name)).toEqual(['first', 'second']);
  });

  test('functions of the host are called, beside functions of the module', () => {
    const module = new ModuleBuilder();
    const host = module.import('half', ['f64'], 'f64');
    const twice = module.function(
      { name: 'twice', parameters: { x: 'f64' }, result: 'f64', exported: false },
      (f, p) => {
        f.return(f64.add(p.x, p.x));
      },
    );
    module.function({ name: 'run', parameters: { x: 'f64' }, result: 'f64', exported: true }, (f, p) => {
      f.return(f.call(host, f.call(twice, f.call(twice, p.x))));
    });
    const memory = new WebAssembly.Memory({ initial: 1 });
    const imports = { env: { memory, half: (x: number) => x / 2 } };
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), imports);
    expect((exports['run'] as (x: number) => number)(1.25)).toBe(2.5);
    expect(() => module.import('late', [], 'void')).toThrow(/before adding functions/);
  });

  test('a shared memory is imported as shared', () => {
    const module = new ModuleBuilder({ sharedMemory: true });
    module.function({ name: 'run', parameters: {}, result: 'i32', exported: true }, (f) => f.return(i32.load(0)));
    const compiled = new WebAssembly.Module(module.encode());
    const shared = new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true });
    expect(() => new WebAssembly.Instance(compiled, { env: { memory: shared } })).not.toThrow();
    const own = new WebAssembly.Memory({ initial: 1 });
    expect(() => new WebAssembly.Instance(compiled, { env: { memory: own } })).toThrow(WebAssembly.LinkError);
  });

  test('two exports of one name are refused', () => {
    const module = new ModuleBuilder();
    const add = (): void =>
      void module.function({ name: 'run', parameters: {}, result: 'void', exported: true }, () => {});
    add();
    expect(add).toThrow(/already has an export "run"/);
  });

  test('constants keep their bits through LEB128', () => {
    for (const value of [0, 63, 64, -64, -65, 8191, 8192, 2 ** 31 - 1, -(2 ** 31)]) {
      expect(build({}, 'i32', (f) => f.return({ type: 'i32', code: [0x41, ...signedLeb128(value)] })).run()).toBe(
        value,
      );
    }
  });
});
