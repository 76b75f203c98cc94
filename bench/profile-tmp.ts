import { startTraining } from './src/tiny-model.ts';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { setDefaultDevice } from '@mindseye/tensor-core';
const device = createWasmDevice(); setDefaultDevice(device);
const name = process.argv[2] as any, n = Number(process.argv[3]);
const { trainer } = await startTraining(name, device);
let i = 0; const t: number[] = []; let t0 = performance.now();
for await (const e of trainer.run()) { const now = performance.now(); t.push(now - t0); t0 = now; if (++i >= n) { console.log(e.loss); break; } }
t.sort((a, b) => a - b);
console.log(name, 'median', t[t.length >> 1], 'min', t[0], device.memory(), process.memoryUsage().rss / 2 ** 20);
