import { tasks } from '@mindseye/eval';
import { trainByteLevelBpe, Tokenizer, ChatTemplate, Processor, tinyConfig, tinyPreprocessorConfig, initializeWeights, imagePatches, TINY_BPE_VOCABULARY_SIZE } from '@mindseye/qwen-vl';
import { Trainer, LatentModel, methods, initializeTrainables, latentSequence, modelOf } from '@mindseye/latent-reasoning';
import { setDefaultDevice, safetensorsBytes, SafetensorsReader, bytesSource, tensor } from '@mindseye/tensor-core';
import { createWasmDevice } from '../wasm-backend/dist/index.js';
import { readFileSync, writeFileSync, existsSync } from 'node:fs';
const env = (k: string, d: string) => process.env[k] ?? d;
const device = createWasmDevice(); setDefaultDevice(device);
const counting = tasks['counting']!, perception = tasks['perception']!;
const corpus: string[] = [];
for (let i = 0; i < 300; i++) { for (const t of [counting, perception]) { const s = t.describe('train', i); corpus.push(s.question, s.answer); } }
corpus.push('system\nYou are a helpful assistant.', 'user\n', 'assistant\n');
const tk = trainByteLevelBpe(corpus, TINY_BPE_VOCABULARY_SIZE);
const tokenizer = Tokenizer.fromJson(tk.tokenizerJson, tk.tokenizerConfig);
const config: any = tinyConfig(tokenizer.requireId('<|endoftext|>'));
const processor = new Processor(tokenizer, ChatTemplate.fromSources({ tokenizerConfig: tk.tokenizerConfig } as any), tinyPreprocessorConfig());
if (env('INIT','')) config.textConfig.initializerRange = Number(env('INIT',''));
const q = processor.ask(counting.describe('train', 0).question, [counting.generate('train', 0).image], { addGenerationPrompt: true });
console.log('prompt length', q.inputIds.length, 'bpe', tk ? tokenizer.decode([...q.inputIds]).slice(0, 60).replace(/\n/g, '\\n') : '', tokenizer.encode('10'));
const lr = Number(env('LR', '2e-3')), steps = Number(env('STEPS', '300')), B = Number(env('B', '16'));
const task = env('TASK', 'perception');
const method: any = { ...methods['sft']!, trains: 'full', learningRate: lr, weightDecay: 0.01, batchSize: B, stages: [{ name: 'causal', mask: 'causal', epochs: 1 }], warmupRatio: 0.05 };
let weights: any = initializeWeights(config, 0);
if (env('LOAD', '') && existsSync(env('LOAD', ''))) { const r = await SafetensorsReader.open(bytesSource(readFileSync(env('LOAD', ''))), 'x'); for (const k of Object.keys(weights)) weights[k] = tensor(await r.readFloat32(k), r.info(k).shape); }
const setup: any = { config, weights, trains: 'full', lora: method.lora, latentIds: [] };
const tokens = { imageTokenId: config.imageTokenId, endOfTurnId: tokenizer.requireId('<|im_end|>'), latentIds: [] };
const mix = task.split(',').map((t) => tasks[t]!);
const data = { size: steps * B, example(i: number) {
  const t = mix[i % mix.length]!;
  const s = t.generate('train', Math.floor(i / mix.length) % t.splits.train);
  const p = processor.ask(s.question, [s.image], { addGenerationPrompt: true });
  return { id: s.id, sequence: latentSequence({ inputIds: p.inputIds, grids: p.vision!.imageGridThw }, tokens, tokenizer.encode(s.answer)), images: imagePatches(p.vision!) };
} };
const trainer = new Trainer({ method, setup, data, device, seed: 0 }, await initializeTrainables(setup, 0));
const t0 = performance.now(); let acc = 0, n = 0;
async function evalOn(name: string, N: number) {
  const context = modelOf(setup, trainer.state.trainables);
  const lm = new LatentModel({ context, processor, device, latentIds: [] });
  let ok = 0; const t = tasks[name]!;
  for (let i = 0; i < N; i++) { const s = t.generate('validation', i); const a = await lm.answer({ question: s.question, images: [s.image] }); const p = t.parse(a); if (p !== undefined && t.score(p, s)) ok++; }
  return ok / N;
}
for await (const e of trainer.run()) {
  acc += e.loss; n++;
  if (e.globalStep % 50 === 0) { console.log(e.globalStep, (acc / n).toFixed(4), 'lr', e.learningRate.toExponential(2), 'gn', e.gradientNorm.toFixed(2), ((performance.now() - t0) / e.globalStep).toFixed(0) + 'ms/step'); acc = 0; n = 0; }
  if (e.globalStep % Number(env('EVAL', '500')) === 0) console.log('  val counting', await evalOn('counting', 100), 'perception', await evalOn('perception', 100));
}
if (env('SAVE', '')) { const { weights: w } = trainer.state.trainables as any; const entries: any[] = []; for (const [k, v] of Object.entries<any>(w)) entries.push({ name: k, dtype: 'F32', shape: v.shape, data: await v.data(device) }); writeFileSync(env('SAVE', ''), safetensorsBytes(entries)); }
console.log(device.memory());
