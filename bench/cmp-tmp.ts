import { startTraining } from './src/tiny-model.ts';
import { createWasmDevice } from '@mindseye/wasm-backend';
import { setDefaultDevice, createReferenceDevice } from '@mindseye/tensor-core';
for (const device of [createWasmDevice(), createWasmDevice({ tier: 'simd128' }), createReferenceDevice()]) {
setDefaultDevice(device);
const { trainer } = await startTraining('livr', device);
const l: number[] = []; const t0 = performance.now();
for await (const e of trainer.run()) { l.push(e.loss); if (l.length >= 4) break; }
console.log(device.name, l, (performance.now() - t0) / 4);
}
