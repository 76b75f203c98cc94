/**
 * Names of tensors in adapter files, and the module paths they are about.
 *
 *   new       base_model.model.model.language_model.layers.N…, base_model.model.model.visual.…     transformers from 4.52
 *   old       base_model.model.model.layers.N…, base_model.model.visual.…        before; text-only classes use it to this day
 *   MLX       language_model.model.layers.N…, vision_tower.…
 *
 * Paths in this package are those of the new layout, without the prefix.
 */
import { canonicalName } from '@mindseye/qwen-vl';
import type { KeyLayout } from './adapter.js';

const prefix = 'base_model.model.';

/** Ordered: the first that matches counts. What matches none is left to the rules of checkpoints. */
const modulePrefixes: readonly (readonly [RegExp, string])[] = [
  [/^language_model\.lm_head\b/, 'lm_head'],
  [/^language_model\.(?:model\.)?/, 'model.language_model.'],
  [/^vision_tower\./, 'model.visual.'],
];

/** The path in the module tree of today's transformers, from any layout; unknown paths come back as they are. */
export function canonicalPath(path: string): string {
  const rule = modulePrefixes.find(([pattern]) => pattern.test(path));
  return rule ? path.replace(rule[0], rule[1]) : canonicalName(`${path}.`).slice(0, -1);
}

/** The path that a canonical one had before transformers 4.52. */
export const oldPath = (path: string): string =>
  path.replace(/^model\.language_model\./, 'model.').replace(/^model\.visual\./, 'visual.');

/** The end of a canonical path that its name in every layout has: `layers.0.mlp.up_proj`, `blocks.0.attn.qkv`. */
export const commonEnding = (path: string): string => path.replace(/^model\.(?:language_model|visual)\./, '');

const inLayout: Readonly<Record<KeyLayout, (path: string) => string>> = { new: (path) => path, old: oldPath };

/** The name of a tensor in a PEFT file. */
export const peftKey = (path: string, ending: string, layout: KeyLayout): string =>
  `${prefix}${inLayout[layout](path)}.${ending}`;

export type PeftTensorKind = 'lora_A' | 'lora_B' | 'rows' | 'saved' | 'unsupported';

export interface PeftTensorName {
  readonly kind: PeftTensorKind;
  /** Canonical: of a module, or of a whole tensor where it is saved. */
  readonly path: string;
}

/** Ordered: the first that matches counts. The name of the adapter may stand in the key; PEFT takes it out when it saves. */
const rules: readonly (readonly [kind: PeftTensorKind | 'lora', pattern: RegExp])[] = [
  ['unsupported', /^(.+)\.(?:lora_embedding_[AB]|lora_magnitude_vector|lora_variant\w*)\b/],
  ['unsupported', /^(.+)\.lora_[AB](?:\.\w+)?\.bias$/],
  ['lora', /^(.+)\.lora_([AB])(?:\.\w+)?\.weight$/],
  ['rows', /^(.+)\.token_adapter(?:\.\w+)?\.trainable_tokens_delta(?:\.\w+)?$/],
  ['saved', /^(.+?)(?:\.modules_to_save\.\w+|\.base_layer)?\.(weight|bias)$/],
];

const withoutPrefix = (key: string): string => (key.startsWith(prefix) ? key.slice(prefix.length) : key);

/** What a tensor of a PEFT file is; undefined where its name says nothing that is known. */
export function parsePeftKey(key: string): PeftTensorName | undefined {
  const name = withoutPrefix(key);
  for (const [kind, pattern] of rules) {
    const found = pattern.exec(name);
    if (!found) continue;
    const path = canonicalPath(found[1]!);
    if (kind === 'lora') return { kind: found[2] === 'A' ? 'lora_A' : 'lora_B', path };
    return { kind, path: kind === 'saved' ? `${path}.${found[2]!}` : path };
  }
  return undefined;
}

/** The layout of a file by the names in it. */
export function layoutOf(keys: readonly string[]): KeyLayout {
  const paths = keys.map(withoutPrefix);
  const isNew = paths.some((path) => /^model\.(?:language_model|visual)\./.test(path));
  return !isNew && paths.some((path) => /^(?:model|visual)\./.test(path)) ? 'old' : 'new';
}
