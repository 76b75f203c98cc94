/**
 * Settings of a LoRA adapter, with the meaning they have in PEFT.
 *
 *   scale of a layer = α / r, or α / √r when rank-stabilised, with the layer's own r and α where a pattern names it
 *
 * Names of modules are paths such as `model.language_model.layers.0.self_attn.q_proj`. Source: peft `tuners/lora/config.py`,
 * `utils/other.py` (get_pattern_key).
 */
import { languageLinearNames } from '@mindseye/qwen-vl';
import type { KeyLayout } from './adapter.js';
import { oldPath } from './keys.js';
import { fullMatch } from './python-pattern.js';

/** A pattern of Python's `re` that the whole path has to match, or a list of paths and endings of paths (`q_proj`). */
export type ModuleNames = string | readonly string[];

export interface LoraConfig {
  readonly rank: number;
  readonly alpha: number;
  /** Probability of zeroing an input of A while training. */
  readonly dropout: number;
  /** Layers that are adapted; `all-linear` for every linear layer but the output head. */
  readonly targetModules: ModuleNames;
  /** Layers that are not, though they are targets. */
  readonly excludeModules?: ModuleNames;
  /** Other ranks, by a pattern for the end of the path; the first that matches counts. */
  readonly rankPattern?: Readonly<Record<string, number>>;
  /** Other alphas, likewise. */
  readonly alphaPattern?: Readonly<Record<string, number>>;
  /** With a list of targets: only in the layers of these numbers … */
  readonly layersToTransform?: readonly number[];
  /** … of the lists so named (`layers`, `blocks`); of any list when left out. */
  readonly layersPattern?: readonly string[];
  /** α / √r in place of α / r (Kalajdzievski 2023). */
  readonly rankStabilized?: boolean;
  /** Modules that are trained and saved whole beside the adapters; they are never adapted themselves. */
  readonly modulesToSave?: readonly string[];
}

/** Attention and MLP of the language model. A pattern, because the bare names would match the MLP of the vision tower too. */
export const languageTargets: string = `.*language_model.*\\.(${languageLinearNames.join('|')})`;

/** The setting of LIVR (arXiv 2512.21218, appendix B). */
export const livrLora: LoraConfig = { rank: 16, alpha: 32, dropout: 0.05, targetModules: languageTargets };

/** Ranks and scales of layers by their path. Patterns are parsed once. */
export interface LayerSettings {
  rank(path: string): number;
  alpha(path: string): number;
  scale(path: string): number;
}

/**
 * @param layout `old` where the patterns may have been written for the names of the old layout
 * @throws InvalidInputError for a pattern that is not understood
 */
export function layerSettings(config: LoraConfig, layout: KeyLayout = 'new'): LayerSettings {
  const [ranks, alphas] = [
    byPattern(config.rankPattern, config.rank, 'rank_pattern', layout),
    byPattern(config.alphaPattern, config.alpha, 'alpha_pattern', layout),
  ];
  return {
    rank: ranks,
    alpha: alphas,
    scale(path) {
      const rank = ranks(path);
      return alphas(path) / (config.rankStabilized ? Math.sqrt(rank) : rank);
    },
  };
}

function byPattern(
  patterns: Readonly<Record<string, number>> | undefined,
  other: number,
  field: string,
  layout: KeyLayout,
): (path: string) => number {
  const rules = Object.entries(patterns ?? {}).map(([pattern, value]) => [endingTest(pattern, field), value] as const);
  const named = (path: string): number | undefined => rules.find(([matches]) => matches(path))?.[1];
  return (path) => named(path) ?? (layout === 'old' ? named(oldPath(path)) : undefined) ?? other;
}

/** Whether a path, or its end after a dot, matches. Most patterns are plain names, hundreds of them in a file. */
function endingTest(pattern: string, field: string): (path: string) => boolean {
  if (!/^[\w.-]+$/.test(pattern)) return fullMatch(`(.*\\.)?(${pattern})`, field);
  return (path) => {
    const start = path.length - pattern.length;
    if (start < 0 || (start > 0 && path[start - 1] !== '.')) return false;
    for (let i = 0; i < pattern.length; i++) if (pattern[i] !== '.' && pattern[i] !== path[start + i]) return false;
    return true;
  };
}
