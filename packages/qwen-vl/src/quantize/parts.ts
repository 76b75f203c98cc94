/**
 * How many bits each part of a model has in a quantised form that people name.
 *
 *            decoder matrices   embedding, head   vision tower (only when asked for)
 *   int8            8                  8                  8
 *   int4            4                  4                  4
 *   mixed           4                  8                  8
 *
 * The vision tower is what suffers first and is small, so it stays as it is stored unless it is asked for.
 */
import type { QuantizationBits } from '@mindseye/tensor-core';

/** The parts of a model that a form tells apart. */
export type ModelPart = 'decoder' | 'table' | 'vision';

export type QuantizationName = 'int8' | 'int4' | 'mixed';

export const quantizationForms: Readonly<Record<QuantizationName, Readonly<Record<ModelPart, QuantizationBits>>>> = {
  int8: { decoder: 8, table: 8, vision: 8 },
  int4: { decoder: 4, table: 4, vision: 4 },
  mixed: { decoder: 4, table: 8, vision: 8 },
};

/** int8, int4, mixed. */
export const quantizationNames: readonly QuantizationName[] = Object.keys(quantizationForms) as QuantizationName[];

const TABLES: ReadonlySet<string> = new Set(['model.language_model.embed_tokens.weight', 'lm_head.weight']);

/** The part that a matrix belongs to, by its name in the module tree. */
export function partOf(name: string): ModelPart {
  if (TABLES.has(name)) return 'table';
  return name.startsWith('model.visual.') ? 'vision' : 'decoder';
}
