/**
 * Which layers of a model an adapter is for, as PEFT decides it.
 *
 * A list names whole paths or their endings after a dot, so `gate_proj` is in the language model and in the vision tower; a
 * text is a pattern for whole paths, except `all-linear`. Exclusions and modules that are saved whole come first. Source:
 * peft `tuners/tuners_utils.py`, check_target_module_exists.
 */
import { InvalidInputError, type ParameterShapes } from '@mindseye/qwen-vl';
import type { LoraConfig, ModuleNames } from './config.js';
import { fullMatch } from './python-pattern.js';

const allLinear = 'all-linear';
const head = 'lm_head';

/** Linear layers by path with their weight shapes [out, in]: what an adapter can be for. A tied head is none. */
export function linearLayers(shapes: ParameterShapes): Map<string, readonly [outputs: number, inputs: number]> {
  const layers = new Map<string, readonly [number, number]>();
  for (const [name, shape] of shapes) {
    if (!name.endsWith('.weight') || shape.length !== 2 || name.endsWith('.embed_tokens.weight')) continue;
    layers.set(name.slice(0, -'.weight'.length), [shape[0]!, shape[1]!]);
  }
  return layers;
}

/**
 * The layers that a configuration adapts, with their weight shapes [out, in].
 *
 * @throws InvalidInputError for a pattern that is not understood, and for targets that PEFT could adapt and this package
 *   cannot: the patch kernel and the embedding table
 */
export function loraTargets(
  shapes: ParameterShapes,
  config: LoraConfig,
): Map<string, readonly [outputs: number, inputs: number]> {
  const isTarget = targetTest(config);
  const layers = linearLayers(shapes);
  const targets = new Map([...layers].filter(([path]) => isTarget(path)));
  for (const [name, shape] of shapes) {
    const path = name.replace(/\.weight$/, '');
    if (path === name || shape.length < 2 || layers.has(path) || config.targetModules === allLinear) continue;
    if (isTarget(path))
      throw new InvalidInputError(
        `target_modules names ${path}, which is no linear layer and cannot be adapted here: name longer endings, or put it into exclude_modules`,
      );
  }
  return targets;
}

/** Whether a module path is a target. @throws InvalidInputError for a pattern that is not understood */
export function targetTest(config: LoraConfig): (path: string) => boolean {
  const { targetModules, excludeModules = [], modulesToSave = [] } = config;
  const isSaved = savedTest(modulesToSave);
  const isExcluded = nameTest(excludeModules, 'exclude_modules');
  const isNamed =
    typeof targetModules === 'string' && targetModules.toLowerCase() === allLinear
      ? (path: string) => path !== head
      : nameTest(targetModules, 'target_modules');
  const isInLayers = layerTest(config);
  return (path) => !isExcluded(path) && !isSaved(path) && isNamed(path) && isInLayers(path);
}

/** Whether a path is one of the modules that are saved whole, or in one: those are never adapted. */
function savedTest(modulesToSave: readonly string[]): (path: string) => boolean {
  const tests = modulesToSave.map((name) => fullMatch(`(^|.*\\.)${name}($|\\..*)`, 'modules_to_save'));
  return (path) => tests.some((test) => test(path));
}

function nameTest(names: ModuleNames, field: string): (path: string) => boolean {
  if (typeof names === 'string') return fullMatch(names, field);
  const known = new Set(names);
  return (path) => {
    const parts = path.split('.');
    return parts.some((_, from) => known.has(parts.slice(from).join('.')));
  };
}

/** Layer numbers count for endings only: a whole path in the list says already which layer it is. */
function layerTest({
  targetModules,
  layersToTransform = [],
  layersPattern = [],
}: LoraConfig): (path: string) => boolean {
  if (typeof targetModules === 'string' || layersToTransform.length === 0) return () => true;
  const numbers = new Set(layersToTransform);
  const whole = new Set(targetModules);
  const lists =
    layersPattern.length > 0
      ? layersPattern.map((name) => fullMatch(`(?:^|.*?\\.)${name}`, 'layers_pattern'))
      : undefined;
  return (path) => whole.has(path) || numbers.has(layerNumber(path, lists) ?? -1);
}

/** The number of the layer that a path is in: the first after a list of the given names, or after any list that is in something. */
function layerNumber(path: string, lists: readonly ((path: string) => boolean)[] | undefined): number | undefined {
  const parts = path.split('.');
  const numbered = parts.flatMap((part, at) => (/^\d+$/.test(part) && at < parts.length - 1 ? [at] : []));
  const before = (at: number): string => parts.slice(0, at).join('.');
  if (!lists) {
    const at = numbered.find((place) => place >= 2);
    return at === undefined ? undefined : Number(parts[at]);
  }
  for (const isList of lists) {
    const at = numbered.find((place) => isList(before(place)));
    if (at !== undefined) return Number(parts[at]);
  }
  return undefined;
}
