/** What of an adapter has a place in a model. A silent no-op is the commonest way to load one wrong. */
import { InvalidInputError, type ParameterShapes } from '@mindseye/qwen-vl';
import { type PeftAdapter, type TrainedRows, adapterTensors, embeddingPath, headPath, headShape } from './adapter.js';
import { loraTargets } from './targets.js';

export interface AdapterReport {
  /** Tensors that have a place in the model. */
  readonly matched: number;
  /** Tensors that have none, by canonical name. */
  readonly unmatched: readonly string[];
  /** Layers in the file that its own configuration does not target; they are left out, as PEFT leaves them out. */
  readonly untargeted: readonly string[];
  /** Layers that the configuration targets and the file says nothing about; they stay as they are. */
  readonly untouched: readonly string[];
}

export interface AdapterCheck {
  /** Load what fits of an adapter of another model, so long as something does. */
  readonly allowUnmatched?: boolean;
}

/**
 * Looks where an adapter fits into a model.
 *
 * @throws InvalidInputError when it fits nowhere, when a layer has other sizes, and, unless allowed, when the model lacks one
 *   of its layers
 */
export function checkAdapterFits(
  adapter: PeftAdapter,
  shapes: ParameterShapes,
  location = 'the adapter',
  { allowUnmatched = false }: AdapterCheck = {},
): AdapterReport {
  const { lora, saved = {}, untargeted = [], config } = adapter;
  const missing = new Set<string>();
  for (const [path, { a, b }] of Object.entries(lora)) {
    const shape = path === headPath ? headShape(shapes) : shapes.get(`${path}.weight`);
    if (!shape) missing.add(path);
    else if (shape.length !== 2 || shape[0] !== b.shape[0] || shape[1] !== a.shape[1])
      throw new InvalidInputError(
        `${location}: ${path} adapts a [${b.shape[0]}, ${a.shape[1]}] layer, the model's is [${shape.join(', ')}]; the adapter is of another model`,
      );
  }
  for (const [name, value] of Object.entries(saved)) {
    const shape = name === `${headPath}.weight` ? headShape(shapes) : shapes.get(name);
    if (!shape) missing.add(name);
    else if (shape.join() !== value.shape.join())
      throw new InvalidInputError(
        `${location}: it holds ${name} [${value.shape.join(', ')}], the model's is [${shape.join(', ')}]; the adapter is of another model`,
      );
  }
  checkRows(adapter.tokenRows, shapes.get(`${embeddingPath}.weight`)!, 'embedding table', location);
  checkRows(adapter.headRows, headShape(shapes), 'output head', location);

  const names = [...adapterTensors(adapter).keys()];
  const unmatched = names.filter((name) => missing.has(name) || missing.has(name.replace(/\.lora_[AB]$/, '')));
  if (unmatched.length === names.length)
    throw new InvalidInputError(
      `${location}: none of its ${names.length} tensors has a place in the model (${unmatched[0] ?? 'it is empty'}, …); the adapter is of another model`,
    );
  if (!allowUnmatched && missing.size > 0) {
    const [first] = missing;
    throw new InvalidInputError(
      `${location}: the model has no layer ${first}${missing.size > 1 ? ` and ${missing.size - 1} more` : ''}; the adapter is of another model`,
    );
  }
  return {
    matched: names.length - unmatched.length,
    unmatched,
    untargeted,
    untouched: targetsOf(config, shapes).filter((path) => !Object.hasOwn(lora, path)),
  };
}

/** Patterns for another layout, or for modules that cannot be adapted here, name no layer of this model. */
function targetsOf(config: PeftAdapter['config'], shapes: ParameterShapes): string[] {
  try {
    return [...loraTargets(shapes, config).keys()];
  } catch (error) {
    if (error instanceof InvalidInputError) return [];
    throw error;
  }
}

function checkRows(trained: TrainedRows | undefined, table: readonly number[], what: string, location: string): void {
  if (!trained) return;
  const { ids, rows } = trained;
  const last = ids.reduce((largest, id) => Math.max(largest, id), 0);
  if (rows.shape[1] === table[1] && last < table[0]!) return;
  throw new InvalidInputError(
    `${location}: its token rows [${rows.shape.join(', ')}] for ids up to ${last} do not fit the ${what} [${table.join(', ')}]; the adapter is of another model`,
  );
}
