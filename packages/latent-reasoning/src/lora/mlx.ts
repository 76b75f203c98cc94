/**
 * Adapters in the files of MLX: `adapter_config.json` and `adapters.safetensors`.
 *
 *   y = W·x + b + scale · (x·a)·b',   a [in, r], b' [r, out]: both transposed against PEFT, and the scale is written out
 *
 * mlx-lm names them `….lora_a` and `….lora_b` and writes `lora_parameters.scale`; mlx-vlm names them `….A` and `….B` and
 * calls its scale `alpha`. Which form a file has is seen by the names alone: square matrices look the same in both. Source:
 * mlx-lm `tuner/lora.py`, mlx-vlm `trainer/lora.py`.
 */
import { InvalidInputError } from '@mindseye/qwen-vl';
import { type TensorSource, tensor } from '@mindseye/tensor-core';
import { z } from 'zod';
import type { PeftAdapter } from './adapter.js';
import { canonicalPath } from './keys.js';
import type { LoraPair } from './lora.js';

const endings: Readonly<Record<string, 'a' | 'b'>> = { lora_a: 'a', lora_b: 'b', A: 'a', B: 'b' };
const pattern = /^(.+)\.(lora_a|lora_b|A|B)$/;

const scale = z.number();
const dropout = z.number().min(0).max(0.999).optional();
/** mlx-lm, then mlx-vlm. */
const schema = z.union(
  [
    z
      .looseObject({
        fine_tune_type: z.literal('lora').optional(),
        lora_parameters: z.looseObject({ scale, dropout }),
      })
      .transform(({ lora_parameters: parameters }) => parameters),
    z.looseObject({ alpha: scale, dropout }).transform(({ alpha, ...rest }) => ({ ...rest, scale: alpha })),
  ],
  'has neither lora_parameters.scale (mlx-lm, fine_tune_type lora) nor alpha (mlx-vlm)',
);

/** True where every tensor has the name of a half of an MLX adapter. */
export const isMlxAdapter = (source: TensorSource): boolean => {
  const names = source.names();
  return names.length > 0 && names.every((name) => pattern.test(name));
};

/** @throws InvalidInputError for an adapter that is not plain LoRA, or halves that do not fit each other */
export async function readMlxAdapter(
  json: unknown,
  source: TensorSource,
  location = 'the adapter',
): Promise<PeftAdapter> {
  const parsed = schema.safeParse(json);
  if (!parsed.success)
    throw new InvalidInputError(
      `${location}: adapter_config.json: ${parsed.error.issues[0]!.message}; only plain LoRA adapters are supported`,
    );
  const halves = new Map<string, Partial<LoraPair>>();
  for (const key of source.names()) {
    const [, path, ending] = pattern.exec(key)!;
    const module = canonicalPath(path!);
    halves.set(module, { ...halves.get(module), [endings[ending!]!]: await transposed(source, key, location) });
  }
  const pairs: [path: string, pair: LoraPair][] = [];
  for (const [path, { a, b }] of halves) {
    if (!a || !b || a.shape[0] !== b.shape[1])
      throw new InvalidInputError(
        `${location}: ${path} needs both halves, a [in, rank] and b [rank, out]; the file is incomplete`,
      );
    pairs.push([path, { a, b }]);
  }
  const ranks = pairs.map(([path, { a }]): [string, number] => [path, a.shape[0]!]);
  const rank = ranks[0]![1];
  const others = ranks.filter(([, own]) => own !== rank);
  const exact = (path: string): string => path.replaceAll('.', '\\.');
  return {
    config: {
      rank,
      alpha: parsed.data.scale * rank,
      dropout: parsed.data.dropout ?? 0,
      targetModules: pairs.map(([path]) => path),
      ...(others.length > 0 && {
        rankPattern: Object.fromEntries(others.map(([path, own]) => [exact(path), own])),
        alphaPattern: Object.fromEntries(others.map(([path, own]) => [exact(path), parsed.data.scale * own])),
      }),
    },
    lora: Object.fromEntries(pairs),
  };
}

async function transposed(source: TensorSource, key: string, location: string): Promise<LoraPair['a']> {
  const { shape } = source.info(key);
  if (shape.length !== 2)
    throw new InvalidInputError(`${location}: tensor ${key} has shape [${shape.join(', ')}]; adapters are matrices`);
  const [rows, columns] = shape as [number, number];
  const values = await source.readFloat32(key);
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]!;
  return tensor(turned, [columns, rows]);
}
