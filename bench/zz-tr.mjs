import { open } from '/work/main/bench/src/subjects/training.ts';
const s = await open({ engine: 'wasm relaxed', method: process.argv[2], stepsPerSample: 1, growthSteps: 0 });
const times = [];
for (let i = 0; i < 30; i++) { const r = await s.sample(); times.push(r['ms per step']); }
console.log(times.map((t) => t.toFixed(0)).join(' '), 'best', Math.min(...times).toFixed(1));
process.exit(0);
