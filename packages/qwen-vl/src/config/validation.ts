/**
 * Shared checks of configuration files: bounded numbers, and zod's findings told as one line.
 *
 * The bounds are wide enough for any model of this family that could exist on a machine (the 72B uses hidden 8192, 80
 * layers) and narrow enough that no product of two of them can be allocated by accident.
 */
import { z } from 'zod';
import { ConfigError, quoteValue } from '../errors.js';

/** Largest values accepted from a file. A value above is refused before anything is allocated. */
export const LIMITS: {
  readonly vocabSize: number;
  readonly width: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly patch: number;
  readonly positions: number;
  readonly pixels: number;
  readonly parameters: number;
} = {
  vocabSize: 2 ** 21,
  width: 2 ** 16,
  intermediate: 2 ** 19,
  layers: 1024,
  heads: 1024,
  patch: 256,
  positions: 2 ** 27,
  pixels: 2 ** 28,
  parameters: 2 ** 40,
};

/** An integer from `min` to `max`, both allowed. */
export const integer = (min: number, max: number): z.ZodInt => z.int().min(min).max(max);

/** A finite number above zero and not above `max`. */
export const positive = (max: number): z.ZodNumber => z.number().positive().max(max);

/** A token id: whether it lies inside the vocabulary is checked where the vocabulary size is known. */
export const tokenId = (): z.ZodInt => integer(0, LIMITS.vocabSize - 1);

/** One token id, a list of them, or null, always as a list. */
export const tokenIdList: z.ZodType<number[]> = z.union([
  tokenId().transform((id) => [id]),
  z.array(tokenId()).max(64),
  z.null().transform((): number[] => []),
]);

/**
 * Checks `value` against a schema.
 * @param source name of the file, the first word of the error
 * @throws ConfigError naming the file, the field, its value and what it should be
 */
export function validate<T>(schema: z.ZodType<T>, value: unknown, source: string): T {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue === undefined) throw new ConfigError(`${source}: not a valid configuration`);
  const field = issue.path.length > 0 ? issue.path.map(String).join('.') : 'the whole file';
  throw new ConfigError(`${source}: ${field}: ${issue.message} (got ${quoteValue(issue.input)})`, {
    cause: result.error,
  });
}

/** Throws a ConfigError naming the file unless `condition` holds. */
export function ensure(condition: boolean, source: string, message: string): asserts condition {
  if (!condition) throw new ConfigError(`${source}: ${message}`);
}
