/**
 * Decoding: prompts in, one token of every sequence per step out.
 *
 * Prompts are padded on the left to a common length and read in pieces; the last piece gives the first tokens. From then on
 * a step feeds G tokens per prompt. State stays on the device (ids, who has ended, what a feedback rule remembers); the host
 * sends positions and a seed, and reads ids every `readEvery` steps to hand them out and to see that all have ended.
 */
import { type Device, evaluate, tensor } from '@mindseye/tensor-core';
import type { Qwen2_5_VLConfig } from '../config/types.js';
import { InvalidInputError } from '../errors.js';
import type { ModelContext } from '../model/context.js';
import type { KeyValueCache } from '../model/language.js';
import type { RopeIndex } from '../model/rope-index.js';
import { type SequenceRow, rowPositions, sequenceOperands } from '../model/sequence.js';
import type { ChoiceOperands } from './choose.js';
import type { FeedbackRule } from './feedback.js';
import { cacheCapacity, promptStep, roundUp } from './key-value-cache.js';
import {
  type Layout,
  choiceOperands,
  maskOperands,
  penalisedIds,
  promptColumns,
  roleOperands,
  stepRotary,
} from './operands.js';
import { type Programs, type PromptOperands, type StepResult, compilePrograms } from './programs.js';
import {
  type CachedPrompt,
  type CachedVisual,
  type PositionTriple,
  type Reuse,
  openCache,
  positionTriples,
} from './prompt-cache.js';
import { type Ended, decodedStep, readRecords } from './read-step.js';
import type { DecodeRequest, DecodedStep } from './request.js';
import { type SamplingOperands, samplingOperands } from './sampling.js';

/** A request with a `cache` brings what it took out of it, and the pictures of its prompt for the next one to compare. */
export interface DecoderRequest extends DecodeRequest {
  readonly reuse?: Reuse | undefined;
  readonly visuals?: readonly CachedVisual[];
}

export type Decoder = (request: DecoderRequest) => AsyncGenerator<DecodedStep, void, undefined>;

/** A decoder for one model on one device; it keeps its compiled steps between requests. */
export function createDecoder(context: ModelContext, device: Device): Decoder {
  const plain = compilePrograms(context, device, undefined);
  const byRule = new WeakMap<FeedbackRule, Programs>();
  const programsFor = (rule: FeedbackRule | undefined): Programs => {
    if (!rule) return plain;
    const programs = byRule.get(rule) ?? compilePrograms(context, device, rule);
    byRule.set(rule, programs);
    return programs;
  };
  return (request) => decode(context, device, programsFor(request.feedback), request);
}

/** A request under way: what stays the same over its steps, and the cache as it is now. */
interface Job {
  readonly request: DecoderRequest;
  readonly rows: readonly (SequenceRow & RopeIndex)[];
  readonly layout: Layout;
  readonly masks: ReturnType<typeof maskOperands>;
  readonly roles: ReturnType<typeof roleOperands>;
  readonly sampling: SamplingOperands;
  /** Tokens whose keys were there already. */
  readonly reused: number;
  cache: KeyValueCache;
  /** Tokens of the first prompt, and those fed after it, whose keys are in the cache. */
  cachedTokens: number;
}

async function openJob(config: Qwen2_5_VLConfig, device: Device, request: DecoderRequest): Promise<Job> {
  const { samples = 1, maxNewTokens = 64, reuse } = request;
  const sampling = samplingOperands(request.sampling ?? {});
  const rows = request.rows.map((row) => ({ ...row, ...rowPositions(config, row) }));
  const longest = Math.max(...rows.map(({ inputIds }) => inputIds.length));
  // Rows that are held stay where they are.
  const kept = reuse && reuse.length > 0 ? reuse.held : undefined;
  const reused = kept ? reuse!.length : 0;
  const promptLength = kept ? kept.padding + longest : roundUp(longest, promptStep);
  const layout = {
    prompts: rows.length,
    samples,
    promptLength,
    padding: rows.map(({ inputIds }) => promptLength - inputIds.length),
    capacity: Math.max(cacheCapacity(promptLength, samples, maxNewTokens), kept?.capacity ?? 0),
  };
  return {
    request,
    rows,
    layout,
    masks: maskOperands(layout),
    roles: roleOperands(request.roles, layout),
    sampling,
    reused,
    cache: await openCache(kept, config, layout, request.cacheDType ?? 'f32', device),
    cachedTokens: reused,
  };
}

async function* decode(
  context: ModelContext,
  device: Device,
  programs: Programs,
  request: DecoderRequest,
): AsyncGenerator<DecodedStep, void, undefined> {
  checkRequest(request);
  const { config } = context;
  const { maxNewTokens = 64, readEvery = 1, feedback, stopWhen, signal } = request;
  const job = await openJob(config, device, request);
  const { layout, masks, roles, rows } = job;
  const ended: Ended = { sequences: new Uint8Array(layout.prompts * layout.samples), stopWhen };
  const choice = choiceOperands(request, job.sampling, config.eosTokenIds, layout);
  const fed: number[] = [];
  try {
    let result = await readPrompt(job, config, device, programs, choice(0, ended.sequences));
    let unread: StepResult[] = [];
    for (let step = 1; ; step++) {
      unread.push(result);
      if (unread.length === readEvery || step === maxNewTokens) {
        for (const [i, record] of (await readRecords(unread, device)).entries()) {
          const decoded = decodedStep(record, unread[i]!, ended);
          if (!decoded.ends[0]) fed.push(decoded.ids[0]!);
          yield decoded;
          if (ended.sequences.every((value) => value === 1)) return;
        }
        unread = [];
      }
      if (step === maxNewTokens) return;
      signal?.throwIfAborted();
      const row = layout.promptLength + (step - 1) * layout.samples;
      const positions = rows.map(({ next }) => next + step - 1);
      result = await programs.step(
        result.donated,
        result.state,
        {
          ...stepRotary(config, positions, layout.samples),
          cache: masks(row),
          roles: roles(row, layout.samples),
        },
        choice(step, ended.sequences),
      );
      job.cache = result.donated.cache;
      job.cachedTokens++;
    }
  } finally {
    // Vectors that were fed back are no tokens: what came after the first of them cannot be found again by its ids.
    request.cache?.put(heldAfter(job, context, feedback ? [] : fed));
  }
}

/** The prompts through the model, piece by piece, behind what is held of them; the last piece gives the first tokens. */
async function readPrompt(
  job: Job,
  config: Qwen2_5_VLConfig,
  device: Device,
  programs: Programs,
  choice: ChoiceOperands,
): Promise<StepResult> {
  const { request, rows, layout, masks, roles } = job;
  const { prompts, samples, promptLength, padding } = layout;
  const { prefillChunk = 512, feedback, signal } = request;
  const whole = sequenceOperands(config, rows, promptLength, 'left');
  const piece = async (from: number, to: number): Promise<PromptOperands> => ({
    sequence: await promptColumns(whole, from, to, device),
    cache: masks(from),
    roles: roles(from, to - from),
    visualTokens: request.visualTokens ?? null,
  });
  let from = job.reused > 0 ? padding[0]! + job.reused : 0;
  for (; promptLength - from > prefillChunk; from += prefillChunk) {
    signal?.throwIfAborted();
    job.cache = await programs.prefill(job.cache, await piece(from, from + prefillChunk));
    job.cachedTokens = Math.max(0, from + prefillChunk - padding[0]!);
  }
  signal?.throwIfAborted();
  const start = {
    finished: tensor(new Uint8Array(prompts * samples), [prompts, samples]),
    ...(feedback && { rule: await evaluate(feedback.initialState(prompts, samples), { device }) }),
  };
  const ids = job.sampling.settings.repetitionPenalty ? penalisedIds(rows, layout) : null;
  const result = await programs.first(job.cache, await piece(from, promptLength), start, choice, ids, samples);
  job.cache = result.donated.cache;
  job.cachedTokens = promptLength - padding[0]!;
  return result;
}

/** What the next request finds in the cache. @param fed ids behind the prompt, in order; the last may not have been fed */
function heldAfter({ request, rows, layout, ...job }: Job, owner: object, fed: readonly number[]): CachedPrompt {
  const { inputIds, positions, next } = rows[0]!;
  const held = [...Array.from(inputIds), ...fed].slice(0, job.cachedTokens);
  const prompt = positionTriples(positions);
  const behind = (at: number): PositionTriple => {
    const position = next + at - prompt.length;
    return [position, position, position];
  };
  return {
    owner,
    rows: job.cache,
    capacity: layout.capacity,
    padding: layout.padding[0]!,
    inputIds: held,
    positions: held.map((_, at) => prompt[at] ?? behind(at)),
    visuals: request.visuals ?? [],
  };
}

function checkRequest(request: DecoderRequest): void {
  const { rows, roles, cache, samples = 1, maxNewTokens = 1, readEvery = 1, prefillChunk = 1, seed = 0 } = request;
  for (const [name, value] of Object.entries({ samples, maxNewTokens, readEvery, prefillChunk })) {
    if (!(Number.isSafeInteger(value) && value >= 1))
      throw new InvalidInputError(`${name} is ${value}; it must be a whole number from 1 up`);
  }
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
    throw new InvalidInputError(`seed is ${seed}; it must be a whole number from 0 to ${2 ** 32 - 1}`);
  if (rows.length === 0) throw new InvalidInputError('there is no prompt: give at least one');
  rows.forEach(({ inputIds }, b) => {
    if (inputIds.length === 0) throw new InvalidInputError(`prompt ${b + 1} is empty: give it at least one token`);
  });
  if (roles && roles.prompts.some((list, b) => list.length !== rows[b]?.inputIds.length))
    throw new InvalidInputError('every prompt token needs a role: give one list of roles per prompt, as long as it');
  if (cache && (rows.length > 1 || samples > 1 || roles))
    throw new InvalidInputError(
      'a prompt cache holds one prompt with one sample and no roles: leave cache out, or ask one by one',
    );
}
