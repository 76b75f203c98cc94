/**
 * The regular expression that cuts text into words before BPE.
 *
 * A tokenizer file carries its pattern as text, and a hostile pattern can take exponential time, so only known patterns run.
 * The whole family from Qwen2 to Qwen3 shares one. In order: English contractions; letters with at most one other character
 * before them; one digit; punctuation with an optional space before and line ends after; whitespace ending in line ends;
 * whitespace up to the last character before a word; other whitespace.
 *
 * Two letters of the reference's engine (Oniguruma) need care in JavaScript: `\s` there is Unicode White_Space, with U+0085
 * and without U+FEFF; the tokenizers library rewrites it. And `(?i:'s)` there also matches the long s (U+017F); the library
 * folds ASCII only, so the contraction is written out here.
 *
 * `\p{L}` and `\p{N}` are those of the engine's version of Unicode. The reference's own version moves too; they can differ on
 * characters of scripts that one of the two does not know yet, and on nothing else.
 */

/** The pattern as it stands in tokenizer.json. */
export const QWEN2_SPLIT_PATTERN: string =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const CONTRACTIONS_WRITTEN_OUT = "(?:'[sSſ]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

/** Known patterns, each with the form that is given to the library. */
export const SPLIT_PATTERNS: ReadonlyMap<string, string> = new Map([
  [QWEN2_SPLIT_PATTERN, QWEN2_SPLIT_PATTERN.replace(CONTRACTIONS, CONTRACTIONS_WRITTEN_OUT)],
]);
