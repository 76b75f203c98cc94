/**
 * Milliseconds from nothing to the first result, in a process where nothing is compiled yet: device, plan, first run. Modules
 * and weights on the host are there before the clock starts.
 *
 * The plan is a prompt of the tiny model through its language model: embedding, norms, products, rotation, attention, head.
 *
 *   device     found out what the engine can do
 *   plan       traced, planned and lowered: most kernels are emitted, checked and compiled here
 *   first run  weights uploaded, and the other kernels
 *   later run  the same again, with all that done
 */
import { type Tensor, compile, mask, tensor } from '@mindseye/tensor-core';
import {
  embedTokens,
  headForward,
  initializeWeights,
  languageForward,
  presets,
  sequenceOperands,
} from '@mindseye/qwen-vl';
import type { WasmDevice } from '@mindseye/wasm-backend';
import { type EngineName, engines } from '../engines.ts';

const PROMPT_TOKENS = 64;

export type StartUp = {
  readonly 'device: ms': number;
  readonly 'plan: ms': number;
  readonly 'first run: ms': number;
  readonly 'later run: ms': number;
  readonly 'device to first result: ms': number;
  /** Opening the device, and all that it has spent on making the kernels of the plan. */
  readonly 'kernels emitted and compiled: ms': number;
};

async function startUp(engine: EngineName): Promise<StartUp> {
  const config = presets.tiny();
  const context = { config, weights: initializeWeights(config, 0) };
  const inputIds = Array.from({ length: PROMPT_TOKENS }, (_, i) => 1 + (i % 100));
  const operands = sequenceOperands(config, [{ inputIds, grids: [] }]);
  const zero = tensor(Int32Array.of(0));
  const times = [performance.now()];
  const lap = (): number => times.push(performance.now());

  const device = engines[engine].open() as WasmDevice;
  lap();
  const answer = compile(
    ({ inputIds: ids, cos, sin }: typeof operands, offset: Tensor) =>
      headForward(
        context,
        languageForward(context, { inputsEmbeds: embedTokens(context, ids), cos, sin, mask: mask.causal(offset) })
          .hidden,
      ),
    { device },
  );
  answer.plan(operands, zero);
  lap();
  for (let run = 0; run < 2; run++) {
    await (await answer(operands, zero)).data(device);
    lap();
  }
  const [start, opened, planned, first, later] = times as [number, number, number, number, number];
  const { preparingMilliseconds } = device.report();
  return {
    'device: ms': opened - start,
    'plan: ms': planned - opened,
    'first run: ms': first - planned,
    'later run: ms': later - first,
    'device to first result: ms': first - start,
    'kernels emitted and compiled: ms': opened - start + preparingMilliseconds,
  };
}

if (import.meta.main) process.stdout.write(JSON.stringify(await startUp(process.argv[2] as EngineName)));
