/**
 * What the tensor headers of a checkpoint say about its configuration.
 *
 * Each fact is one field of config.json with the value that the shapes force. A file that says otherwise is of another
 * checkpoint and is refused; a file that says nothing is completed from here, never from a class default:
 *
 *   embedding [vocab, hidden]        q [heads·headDim, hidden]   k [kvHeads·headDim, hidden]   gate [intermediate, hidden]
 *   patch kernel [vision hidden, channels, time, patch, patch]   vision gate [intermediate, vision hidden]
 *   merger mlp.0 [m, m] with m = vision hidden · merge²          merger mlp.2 [out, m]
 *
 * Not in any shape: vision heads, window size, full-attention blocks, frequencies, and heads apart from their size.
 */
import { ConfigError, quoteValue } from '../errors.js';
import type { TensorShapes } from './types.js';

type JsonFields = Readonly<Record<string, unknown>>;

interface Fact {
  /** Names the field may have in the file; the first is the one filled in. */
  readonly fields: readonly string[];
  readonly value: number;
  /** Tensor that says so. */
  readonly tensor: string;
}

const LANGUAGE = 'model.language_model';
const VISION = 'model.visual';

/** One more than the largest N in names `prefix.N.…`; undefined when there is none. */
function countBlocks(
  shapes: TensorShapes,
  prefix: string,
): { readonly count: number; readonly tensor: string } | undefined {
  let found: { count: number; tensor: string } | undefined;
  for (const name of shapes.keys()) {
    if (!name.startsWith(`${prefix}.`)) continue;
    const index = /^\d{1,9}(?=\.)/.exec(name.slice(prefix.length + 1))?.[0];
    if (index === undefined || Number(index) < (found?.count ?? 0)) continue;
    found = { count: Number(index) + 1, tensor: name };
  }
  return found;
}

/** A fact from one axis of one tensor, where the file has it. */
function fact(shapes: TensorShapes, tensor: string, axis: number, fields: readonly string[]): readonly Fact[] {
  const value = shapes.get(tensor)?.[axis];
  return value === undefined ? [] : [{ fields, value, tensor }];
}

function blockFact(shapes: TensorShapes, prefix: string, field: string): readonly Fact[] {
  const blocks = countBlocks(shapes, prefix);
  return blocks ? [{ fields: [field], value: blocks.count, tensor: blocks.tensor }] : [];
}

const numberIn = (json: JsonFields, field: string): number | undefined => {
  const value = json[field];
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
};

/** Heads and their size: one of them has to be in the file, in the rotary sections if nowhere else. */
function headFacts(
  shapes: TensorShapes,
  text: JsonFields,
  mropeSection: readonly number[] | undefined,
): readonly Fact[] {
  const query = `${LANGUAGE}.layers.0.self_attn.q_proj.weight`;
  const key = `${LANGUAGE}.layers.0.self_attn.k_proj.weight`;
  const queryRows = shapes.get(query)?.[0];
  if (queryRows === undefined) return [];
  const heads = numberIn(text, 'num_attention_heads');
  const sectioned = mropeSection && 2 * mropeSection.reduce((total, size) => total + size, 0);
  const headDim = numberIn(text, 'head_dim') ?? (heads === undefined ? sectioned : queryRows / heads);
  if (headDim === undefined || headDim <= 0) return [];
  return [
    { fields: ['head_dim'], value: headDim, tensor: query },
    { fields: ['num_attention_heads'], value: queryRows / headDim, tensor: query },
    ...fact(shapes, key, 0, ['num_key_value_heads']).map((rows) => ({ ...rows, value: rows.value / headDim })),
  ];
}

const textFacts = (shapes: TensorShapes, text: JsonFields, mropeSection: readonly number[] | undefined): Fact[] => [
  ...fact(shapes, `${LANGUAGE}.embed_tokens.weight`, 0, ['vocab_size']),
  ...fact(shapes, `${LANGUAGE}.norm.weight`, 0, ['hidden_size']),
  ...fact(shapes, `${LANGUAGE}.embed_tokens.weight`, 1, ['hidden_size']),
  ...blockFact(shapes, `${LANGUAGE}.layers`, 'num_hidden_layers'),
  ...fact(shapes, `${LANGUAGE}.layers.0.mlp.gate_proj.weight`, 0, ['intermediate_size']),
  ...headFacts(shapes, text, mropeSection),
];

function visionFacts(shapes: TensorShapes): Fact[] {
  const kernel = `${VISION}.patch_embed.proj.weight`;
  const merger = `${VISION}.merger.mlp.0.bias`;
  const hidden = shapes.get(kernel)?.[0] ?? 0;
  const merged = shapes.get(merger)?.[0];
  return [
    ...fact(shapes, kernel, 0, ['hidden_size']),
    ...fact(shapes, kernel, 1, ['in_chans', 'in_channels']),
    ...fact(shapes, kernel, 2, ['temporal_patch_size']),
    ...fact(shapes, kernel, 3, ['patch_size']),
    ...blockFact(shapes, `${VISION}.blocks`, 'depth'),
    ...fact(shapes, `${VISION}.blocks.0.mlp.gate_proj.bias`, 0, ['intermediate_size']),
    ...fact(shapes, `${VISION}.merger.mlp.2.bias`, 0, ['out_hidden_size']),
    ...(merged && hidden > 0
      ? [{ fields: ['spatial_merge_size'], value: Math.sqrt(merged / hidden), tensor: merger }]
      : []),
  ];
}

/** The fields completed with the facts. @throws ConfigError for a field that contradicts one */
function completed(json: JsonFields, facts: readonly Fact[], where: string, shapes: TensorShapes): JsonFields {
  const result: Record<string, unknown> = { ...json };
  for (const { fields, value, tensor } of facts) {
    const said = fields.filter((field) => result[field] !== undefined && result[field] !== null);
    const wrong = said.find((field) => result[field] !== value);
    if (wrong !== undefined)
      throw new ConfigError(
        `${where}${wrong} is ${quoteValue(result[wrong])}, the tensors of the checkpoint make it ${value} (${tensor} has shape [${shapes.get(tensor)!.join(', ')}]); take config.json and weights from one checkpoint`,
      );
    if (said.length === 0) result[fields[0]!] = value;
  }
  return result;
}

export interface ConfigParts {
  readonly text: JsonFields;
  readonly vision: JsonFields;
  /** Whether the head is tied to the embedding; undefined where the file does not say. */
  readonly tied: boolean | undefined;
}

/**
 * Checks the parts of a config.json against the headers, and fills in what they leave out.
 * @throws ConfigError naming the file, the field, its value, and the value and tensor that contradict it
 */
export function withHeaderFacts(
  { text, vision, tied }: ConfigParts,
  shapes: TensorShapes,
  mropeSection: readonly number[] | undefined,
  source: string,
): ConfigParts {
  const hasHead = shapes.has('lm_head.weight');
  const hasEmbedding = shapes.has(`${LANGUAGE}.embed_tokens.weight`);
  if (tied === false && hasEmbedding && !hasHead)
    throw new ConfigError(
      `${source}: tie_word_embeddings is false, but the checkpoint has no lm_head.weight, as if it were true; take config.json and weights from one checkpoint`,
    );
  return {
    text: completed(text, textFacts(shapes, text, mropeSection), `${source}: `, shapes),
    vision: completed(vision, visionFacts(shapes), `${source}: vision_config.`, shapes),
    tied: tied ?? (hasEmbedding ? !hasHead : undefined),
  };
}
