/** What it costs to get from a function to a plan and to replay it, and how much memory a plan of true size asks for. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Plan, buildPlan, flatten, full } from '@mindseye/tensor-core';
import { type EngineName, engines, openEngine } from '../engines.ts';
import { planDecoding } from '../planning/decode-plan.ts';
import { activationMinimum } from '../planning/minimum.ts';
import {
  TRAINED_TOKENS,
  decodeArguments,
  decodeStep,
  languageWeights,
  lora,
  textConfig,
  trainingArguments,
  trainingStep,
} from '../planning/model-3b.ts';
import { openReplay } from '../planning/replay.ts';
import type { Json, OpenSubject } from '../process/subject.ts';

interface PlanningOptions {
  readonly [key: string]: Json;
  readonly engine: EngineName;
  /** Repetitions that one sample takes the mean of. */
  readonly repetitions: number;
}

const minimum = activationMinimum({ config: textConfig, tokens: TRAINED_TOKENS, rank: lora.rank });

/** Number of the next node that is built. */
const nodesSoFar = (): number => full([], 0).producer!.created;

function traceTime(repetitions: number): { readonly microseconds: number; readonly nodes: number } {
  const args = Array.from({ length: repetitions }, decodeArguments);
  const [nodes, start] = [nodesSoFar(), performance.now()];
  for (const [cache, inputs] of args) decodeStep(cache, inputs);
  const elapsed = performance.now() - start;
  const traced = nodesSoFar() - nodes - 1;
  return { microseconds: (elapsed / traced) * 1000, nodes: traced / repetitions };
}

async function firstPlanOfAProcess(): Promise<number> {
  const program = fileURLToPath(new URL('../planning/decode-plan.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  return Number(stdout);
}

/** The plan of a training step. It is not lowered: its arena may be larger than the memory of this machine. */
function planTraining(engine: EngineName, gradientCheckpointing: boolean): Plan {
  const [state, batch] = trainingArguments();
  const outputs = flatten(trainingStep(gradientCheckpointing)(state, batch));
  const donated = new Set(flatten(state));
  const inputs = [...donated, ...flatten(batch), ...languageWeights];
  return buildPlan({ outputs, inputs, donated, device: engines[engine].open() });
}

function describeTraining({ arena, inputBytes, outputBytes, peakBytes, steps }: Plan, minimumBytes: number) {
  return {
    steps: steps.length,
    recomputedSteps: steps.filter(({ recomputed }) => recomputed).length,
    inputBytes,
    outputBytes,
    peakBytes,
    arenaBytes: arena.byteLength,
    aliveBytes: arena.liveBytes,
    minimumBytes,
    arenaTimesMinimum: arena.byteLength / minimumBytes,
  };
}

export const open: OpenSubject<PlanningOptions> = async ({ engine, repetitions }) => {
  const device = openEngine(engine);
  const replay = await openReplay(device);
  const allKept = describeTraining(planTraining(engine, false), minimum.allKept);
  const checkpointed = describeTraining(planTraining(engine, true), minimum.checkpointed);
  const { plan } = planDecoding(device);
  return {
    async sample() {
      const { compiled, evaluated } = await replay(repetitions);
      return {
        'trace: µs per node': traceTime(repetitions).microseconds,
        'decode plan, first in a process: ms': await firstPlanOfAProcess(),
        'decode plan, new structure: ms': planDecoding(engines[engine].open()).milliseconds,
        'decode plan, known structure: ms': planDecoding(device).milliseconds,
        'compiled step: µs per op': compiled,
        'evaluate: µs per op': evaluated,
        'training arena, all kept: × minimum': allKept.arenaTimesMinimum,
        'training arena, checkpointed: × minimum': checkpointed.arenaTimesMinimum,
      };
    },
    details: () =>
      Promise.resolve({
        model: 'Qwen2.5-VL-3B, f32, on placeholders',
        decode: { nodes: traceTime(1).nodes, steps: plan.steps.length, arenaBytes: plan.arena.byteLength },
        training: { tokens: TRAINED_TOKENS, rank: lora.rank, allKept, checkpointed },
        minimum: {
          bytesPerTokenAndLayer: minimum.perTokenAndLayer,
          allKept: 'layers · tokens · bytesPerTokenAndLayer',
          checkpointed: 'layers · tokens · 4 · hidden size + tokens · bytesPerTokenAndLayer',
        },
      }),
  };
};
