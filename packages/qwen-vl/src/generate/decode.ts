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
import { rowPositions, sequenceOperands } from '../model/sequence.js';
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
import { type CachedVisual, openCache, positionTriples, reusableLength } from './prompt-cache.js';
import { type Ended, decodedStep, readRecords } from './read-step.js';
import type { DecodeRequest, DecodedStep } from './request.js';
import { samplingOperands } from './sampling.js';

/** A request with a `cache` says which pictures its prompt shows, to tell whether they are those that it holds. */
export interface DecoderRequest extends DecodeRequest {
  readonly visuals?: readonly CachedVisual[];
}

export type Decoder = (request: DecoderRequest) => AsyncGenerator<DecodedStep, void, undefined>;

/** A decoder for one model on one device; it keeps its compiled steps between requests. */
export function createDecoder(context: ModelContext, device: Device): Decoder {
  const byRule = new Map<FeedbackRule | undefined, Programs>();
  const programsFor = (rule: FeedbackRule | undefined): Programs => {
    const programs = byRule.get(rule) ?? compilePrograms(context, device, rule);
    byRule.set(rule, programs);
    return programs;
  };
  return (request) => decode(context.config, device, programsFor(request.feedback), request);
}

async function* decode(
  config: Qwen2_5_VLConfig,
  device: Device,
  programs: Programs,
  request: DecoderRequest,
): AsyncGenerator<DecodedStep, void, undefined> {
  const { samples = 1, maxNewTokens = 64, readEvery = 1, prefillChunk = 512 } = request;
  checkRequest(request, { samples, maxNewTokens, readEvery, prefillChunk });
  const { cache: promptCache, visuals = [], feedback, stopWhen, signal } = request;
  const sampling = samplingOperands(request.sampling ?? {});
  const rows = request.rows.map((row) => ({ ...row, ...rowPositions(config, row) }));
  const longest = Math.max(...rows.map(({ inputIds }) => inputIds.length));

  // What a prompt cache holds is not computed again; its rows stay where they are.
  const triples = promptCache ? positionTriples(rows[0]!.positions) : [];
  const held = promptCache?.take();
  const reused = reusableLength(held, rows[0]!.inputIds, triples, visuals);
  const promptLength = reused > 0 ? held!.padding + longest : roundUp(longest, promptStep);
  const layout: Layout = {
    prompts: rows.length,
    samples,
    promptLength,
    padding: rows.map(({ inputIds }) => promptLength - inputIds.length),
    capacity: Math.max(cacheCapacity(promptLength, samples, maxNewTokens), reused > 0 ? held!.capacity : 0),
  };
  let cache = await openCache(reused > 0 ? held : undefined, config, layout, request.cacheDType ?? 'f32', device);
  let cachedTokens = reused;
  const fed: number[] = [];

  try {
    const whole = sequenceOperands(config, rows, promptLength, 'left');
    const masks = maskOperands(layout);
    const roles = roleOperands(request.roles, layout);
    const piece = async (from: number, to: number): Promise<PromptOperands> => ({
      sequence: await promptColumns(whole, from, to, device),
      cache: masks(from),
      roles: roles(from, to - from),
      visualTokens: request.visualTokens ?? null,
    });
    let from = layout.padding[0]! * Number(reused > 0) + reused;
    for (; promptLength - from > prefillChunk; from += prefillChunk) {
      signal?.throwIfAborted();
      cache = await programs.prefill(cache, await piece(from, from + prefillChunk));
      cachedTokens = Math.max(0, from + prefillChunk - layout.padding[0]!);
    }

    signal?.throwIfAborted();
    const choice = choiceOperands(request, sampling, config.eosTokenIds, layout);
    const ended: Ended = { sequences: new Uint8Array(rows.length * samples), stopWhen };
    const start = {
      finished: tensor(new Uint8Array(rows.length * samples), [rows.length, samples]),
      ...(feedback && { rule: await evaluate(feedback.initialState(rows.length, samples), { device }) }),
    };
    const ids = sampling.repetitionPenalty ? penalisedIds(rows, layout) : null;
    let result: StepResult = await programs.first(
      cache,
      await piece(from, promptLength),
      start,
      choice(0, ended.sequences),
      ids,
      samples,
    );
    ({ cache } = result.donated);
    cachedTokens = longest;

    const nextPositions = rows.map(({ next }) => next);
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
      const row = promptLength + (step - 1) * samples;
      const rotary = stepRotary(
        config,
        nextPositions.map((position) => position + step - 1),
        samples,
      );
      result = await programs.step(
        result.donated,
        result.state,
        { ...rotary, cache: masks(row), roles: roles(row, samples) },
        choice(step, ended.sequences),
      );
      ({ cache } = result.donated);
      cachedTokens = longest + step;
    }
  } finally {
    // Vectors that were fed back are no tokens: what came after the first of them cannot be found again by its ids.
    const inputIds = [...Array.from(rows[0]!.inputIds), ...(feedback ? [] : fed)].slice(0, cachedTokens);
    promptCache?.put(
      { rows: cache, capacity: layout.capacity, padding: layout.padding[0]!, inputIds, visuals },
      triples,
    );
  }
}

function checkRequest(
  { rows, roles, cache }: DecoderRequest,
  counts: Readonly<Record<'samples' | 'maxNewTokens' | 'readEvery' | 'prefillChunk', number>>,
): void {
  for (const [name, value] of Object.entries(counts)) {
    if (!(Number.isSafeInteger(value) && value >= 1))
      throw new InvalidInputError(`${name} is ${value}; it must be a whole number from 1 up`);
  }
  if (rows.length === 0) throw new InvalidInputError('there is no prompt: give at least one');
  rows.forEach(({ inputIds }, b) => {
    if (inputIds.length === 0) throw new InvalidInputError(`prompt ${b + 1} is empty: give it at least one token`);
  });
  if (roles && roles.prompts.some((list, b) => list.length !== rows[b]?.inputIds.length))
    throw new InvalidInputError('every prompt token needs a role: give one list of roles per prompt, as long as it');
  if (cache && (rows.length > 1 || counts.samples > 1 || roles))
    throw new InvalidInputError(
      'a prompt cache holds one prompt with one sample and no roles: leave cache out, or ask one by one',
    );
}
