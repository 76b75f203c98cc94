/** Devices whose threads fail: what a run rejects with, and what is left of its inputs. */
import * as t from '@mindseye/tensor-core';
import { expect, test } from 'vitest';
import { deviceOn } from '../../src/device/device.js';
import type { WasmDevice } from '../../src/device/device.js';
import { WasmThreadError } from '../../src/index.js';
import { createKernels } from '../../src/kernels/index.js';
import { Threads } from '../../src/threads/threads.js';
import { threadSource } from '../../src/threads/worker-source.js';

/** Threads that die in every part once `armed` is there: cells of the memory say so. */
const ARMED = 0x0a11_dead;
const PLACE = 3;
const source = `${threadSource}
const install0 = install;
let cells;
install = (message) => { cells = new Int32Array(message.imports.memory.buffer, 0, 16); install0(message); };
const apply0 = Reflect.apply;
Reflect.apply = (kernel, self, values) => {
  if (cells[${PLACE}] === ${ARMED}) process.exit(1);
  return apply0(kernel, self, values);
};`;

/** Address 0 to 63 of a device's memory holds no value. */
function arm(device: Armed, on: boolean): void {
  new Int32Array(device.memoryOf.buffer)[PLACE] = on ? ARMED : 0;
}

interface Armed {
  readonly device: WasmDevice;
  readonly memoryOf: WebAssembly.Memory;
}

function create(): Armed {
  const threads = new Threads(3, { eager: true, source, stallMilliseconds: 150 });
  const kernels = createKernels({ threads });
  return { device: deviceOn(kernels, { maximumBytes: 0 }), memoryOf: kernels.memory };
}

const numbers = Float32Array.from({ length: 20_000 }, (_, i) => i / 20_000);

/** Runs until a run is rejected: the calling thread may draw every part of one. */
async function rejection(run: () => Promise<unknown>): Promise<unknown> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    try {
      await run();
    } catch (error) {
      return error;
    }
  }
  return undefined;
}

test('a run whose thread dies is rejected with a WasmThreadError, keeps its inputs, and leaves nothing behind', async () => {
  const armed = create();
  const { device } = armed;
  const f = t.compile((x: t.Tensor, y: t.Tensor) => t.exp(t.add(t.tanh(x), y)), { device });
  const [x, y] = [t.tensor(numbers), t.tensor(numbers.map((v) => 1 - v))];
  const expected = await (await f(x, y)).data();
  const before = device.memory().rootBytes;
  arm(armed, true);
  const error = await rejection(async () => void (await (await f(x, y)).data()));
  expect(error).toBeInstanceOf(WasmThreadError);
  expect((error as Error).message).toMatch(/taken for dead: inputs keep/);
  arm(armed, false);
  expect(await x.data()).toEqual(numbers);
  for (let run = 0; run < 5; run += 1) expect(await (await f(x, y)).data()).toEqual(expected);
  expect(device.report()).toMatchObject({ threads: 3, threadStarts: 2, threadsLost: 'it does not answer' });
  expect(device.memory().rootBytes).toBeGreaterThanOrEqual(before);
});

test('after a rejected run the inputs that were not donated are whole, and donors can be used, whatever they hold', async () => {
  const armed = create();
  const { device } = armed;
  const step = t.compile((state: t.Tensor, x: t.Tensor) => t.add(t.mul(state, 0.5), t.exp(x)), { device, donate: [0] });
  const x = t.tensor(numbers);
  let state = await step(t.tensor(numbers), x);
  arm(armed, true);
  const error = await rejection(async () => {
    state = await step(state, x);
  });
  expect(error).toBeInstanceOf(WasmThreadError);
  arm(armed, false);
  expect(await x.data()).toEqual(numbers);
  // The donor's old value may be partly overwritten: a state that is to outlive this must have been saved.
  expect((await state.data()).length).toBe(numbers.length);
  const reference = t.createReferenceDevice();
  const other = t.compile((given: t.Tensor, y: t.Tensor) => t.add(t.mul(given, 0.5), t.exp(y)), { device: reference });
  const wanted = await (await other(t.tensor(numbers), t.tensor(numbers))).data();
  const fresh = await (await step(t.tensor(numbers), x)).data();
  fresh.forEach((value: number, i: number) => expect(value).toBeCloseTo(wanted[i]!, 5));
});
