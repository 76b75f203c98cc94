/**
 * Several adapters over one base model, of which none, one or a mixture is active at a time.
 *
 * Switching makes another `ModelContext` over the same weights: nothing is copied, and adapters of the same shapes run the
 * plans that are compiled already.
 */
import { InvalidInputError, type ModelContext, parameterShapes } from '@mindseye/qwen-vl';
import type { PeftAdapter } from './adapter.js';
import { type AdapterCheck, type AdapterReport, checkAdapterFits } from './report.js';
import { withAdapter } from './with-adapter.js';

export interface WeightedAdapter {
  readonly name: string;
  /** Factor of what the adapter adds; 1 when left out. */
  readonly weight?: number;
}

/** A name, null for the base model, or several adapters at once. */
export type AdapterSelection = string | null | readonly WeightedAdapter[];

export interface AdapterSet {
  readonly names: readonly string[];
  /** Keeps an adapter under a name, in place of an earlier one of that name. @throws InvalidInputError as `checkAdapterFits` */
  load(name: string, adapter: PeftAdapter, options?: AdapterCheck): AdapterReport;
  /** Forgets an adapter; contexts that have it stay as they are. */
  unload(name: string): void;
  /** The model with the chosen adapters. @throws InvalidInputError for a name that is not loaded, and as `withAdapter` */
  activate(selection: AdapterSelection): ModelContext;
}

/** @param base the model without adapters */
export function adapterSet(base: ModelContext): AdapterSet {
  const adapters = new Map<string, PeftAdapter>();
  const shapes = parameterShapes(base.config);
  const find = (name: string): PeftAdapter => {
    const found = adapters.get(name);
    if (found) return found;
    const loaded = adapters.size > 0 ? `loaded are ${[...adapters.keys()].slice(0, 5).join(', ')}` : 'none is loaded';
    throw new InvalidInputError(`there is no adapter "${name}": ${loaded}`);
  };
  return {
    get names() {
      return [...adapters.keys()];
    },
    load(name, adapter, options) {
      const report = checkAdapterFits(adapter, shapes, `adapter "${name}"`, options);
      adapters.set(name, adapter);
      return report;
    },
    unload(name) {
      find(name);
      adapters.delete(name);
    },
    activate(selection) {
      const chosen = typeof selection === 'string' ? [{ name: selection }] : (selection ?? []);
      return chosen.reduce(
        (context: ModelContext, { name, weight }: WeightedAdapter) => withAdapter(context, find(name), weight),
        base,
      );
    },
  };
}
