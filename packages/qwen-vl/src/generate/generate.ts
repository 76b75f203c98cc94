/**
 * Greedy decoding with a key/value cache of fixed capacity.
 *
 * Prefill writes the prompt into the cache and gives the logits of its last token; each step writes one token. Both are
 * compiled with the cache donated and its length a run-time scalar, so a step neither traces nor allocates anew.
 */
import {
  type Device,
  type RoleTable,
  type Tensor,
  argmax,
  compile,
  evaluate,
  full,
  mask,
  reshape,
  slice,
  tensor,
} from '@mindseye/tensor-core';
import { InvalidInputError } from '../errors.js';
import type { ModelContext } from '../model/context.js';
import { type KeyValueCache, embedTokens, headForward, languageForward } from '../model/language.js';
import { ropeIndex } from '../model/rope-index.js';
import { type SequenceOperands, type SequenceRow, sequenceOperands } from '../model/sequence.js';

/** Cache capacities are multiples of this, so that prompts of similar length share compiled steps. */
const capacityStep = 64;

export interface GenerateOptions {
  readonly maxNewTokens?: number;
  /** Ids that end the answer; they are not part of the result. Those of the configuration when left out. */
  readonly stopIds?: readonly number[];
  readonly signal?: AbortSignal;
}

/** Who may see whom by role, beside causality: the bottleneck of latent methods. */
export interface RoleMask {
  /** Role of each prompt token. */
  readonly prompt: ArrayLike<number>;
  /** Role of every generated token. */
  readonly generated: number;
  /** Row = role of the query, column = role of the key. */
  readonly table: RoleTable;
}

export interface GenerateRequest extends GenerateOptions {
  readonly row: SequenceRow;
  readonly roles?: RoleMask;
  /** Visual tokens [rows, hidden] of the images of the prompt. */
  readonly visualTokens?: Tensor;
}

interface StepResult {
  /** i32 [1]: the next token. */
  readonly next: Tensor;
  readonly cache: KeyValueCache;
}

interface RoleOperands {
  readonly query: Tensor;
  readonly key: Tensor;
  readonly table: RoleTable;
}

export type Generator = (request: GenerateRequest) => AsyncGenerator<number, void, undefined>;

/** A decoder for one model on one device; it keeps the compiled steps between calls. */
export function createGenerator(context: ModelContext, device: Device): Generator {
  const { textConfig, eosTokenIds, visionConfig } = context.config;

  const forward = (
    operands: SequenceOperands,
    cache: KeyValueCache,
    cacheLength: Tensor,
    visualTokens?: Tensor,
    roles?: RoleOperands,
  ): StepResult => {
    const visual = visualTokens && { rows: visualTokens, where: operands.isVisual, index: operands.visualIndex };
    const outputs = languageForward(context, {
      inputsEmbeds: embedTokens(context, operands.inputIds, visual),
      cos: operands.cos,
      sin: operands.sin,
      mask: roles
        ? mask.and(mask.causal(cacheLength), mask.roles(roles.query, roles.table, roles.key))
        : mask.causal(cacheLength),
      cache,
      cacheLength,
    });
    const last = slice(outputs.hidden, 1, -1);
    return { next: reshape(argmax(headForward(context, last)), [1]), cache: outputs.cache! };
  };
  const emptyCache = (capacity: number): Promise<KeyValueCache> => {
    const store = (): Tensor[] =>
      Array.from({ length: textConfig.numHiddenLayers }, () =>
        full([1, textConfig.numKeyValueHeads, capacity, textConfig.headDim], 0),
      );
    return evaluate({ keys: store(), values: store() }, { device });
  };
  const step = compile(forward, { device, donate: [1], name: 'a decoding step' });

  return async function* generate({ row, visualTokens, roles, maxNewTokens = 64, stopIds = eosTokenIds, signal }) {
    const length = row.inputIds.length;
    if (length === 0) throw new InvalidInputError('the prompt is empty: give at least one token');
    if (!Number.isInteger(maxNewTokens) || maxNewTokens < 1)
      throw new InvalidInputError(`maxNewTokens is ${maxNewTokens}; it must be a whole number from 1 up`);
    const capacity = Math.ceil((length + maxNewTokens) / capacityStep) * capacityStep;
    const positions =
      row.positions ?? ropeIndex(row.inputIds, row.grids, context.config, visionConfig.spatialMergeSize).positions;
    let position = positions.reduce((largest, at) => Math.max(largest, at), -1);
    const keyRoles = roles && Int32Array.from({ length: capacity }, (_, at) => roles.prompt[at] ?? roles.generated);
    const roleOperands = (start: number, count: number): RoleOperands | undefined =>
      roles &&
      keyRoles && {
        query: tensor(keyRoles.slice(start, start + count), [1, count]),
        key: tensor(keyRoles, [1, capacity]),
        table: roles.table,
      };
    const stop = new Set(stopIds);
    let cache = await emptyCache(capacity);
    let operands = sequenceOperands(context.config, [{ ...row, positions }]);
    let cached = 0;
    for (let produced = 0; produced < maxNewTokens; produced++) {
      signal?.throwIfAborted();
      const count = operands.inputIds.shape[1]!;
      const result: StepResult = await step(
        operands,
        cache,
        tensor(Int32Array.of(cached)),
        produced === 0 ? visualTokens : undefined,
        roleOperands(cached, count),
      );
      cache = result.cache;
      cached += count;
      const id = await result.next.item(device);
      if (stop.has(id)) return;
      yield id;
      position++;
      operands = sequenceOperands(context.config, [
        { inputIds: [id], grids: [], positions: Int32Array.of(position, position, position) },
      ]);
    }
  };
}
