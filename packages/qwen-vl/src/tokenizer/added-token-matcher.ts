/**
 * Finds added tokens in text: left to right, the longest where several begin, as the reference does.
 *
 * The tokens lie sorted; those that begin with the text read so far are a range of them, which each further unit narrows:
 *
 *   "<|im_end|>" "<|im_start|>" "<|image_pad|>"      read "<|i": all three, "<|im_": the first two
 *
 * A regular expression would do the same for the 22 tokens of Qwen2.5, but not every list of tokens from a file compiles into
 * one. Work is at most (units of text) × (longest token) × log(number of tokens), and one look-up per unit where none begins.
 *
 * Source: `find_matches` in Hugging Face tokenizers, `tokenizer/added_vocabulary.rs`.
 */

/** A token to look for. */
export interface MatchedToken {
  readonly id: number;
  readonly content: string;
}

/**
 * Cuts a text at tokens: ids where they stood, and the text between them, never empty.
 * `keeps` says which ids are cut out; a token that is not kept is text, and what is inside it is not looked at again.
 */
export type TokenSplitter = (text: string, keeps: (id: number) => boolean) => (number | string)[];

const byContent = (a: MatchedToken, b: MatchedToken): number =>
  a.content < b.content ? -1 : a.content > b.content ? 1 : 0;

/** First index in [low, high) whose token has at `depth` a unit of at least `unit`. */
function lowerBound(tokens: readonly MatchedToken[], low: number, high: number, depth: number, unit: number): number {
  let [from, to] = [low, high];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (tokens[middle]!.content.charCodeAt(depth) < unit) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** The longest token that stands at `start`, or undefined. */
function matchAt(tokens: readonly MatchedToken[], text: string, start: number): MatchedToken | undefined {
  let [low, high] = [0, tokens.length];
  let longest: MatchedToken | undefined;
  for (let depth = 0; ; depth++) {
    // The token that ends here sorts before those that go on.
    if (tokens[low]!.content.length === depth) longest = tokens[low++];
    if (low === high || start + depth >= text.length) return longest;
    const unit = text.charCodeAt(start + depth);
    low = lowerBound(tokens, low, high, depth, unit);
    high = lowerBound(tokens, low, high, depth, unit + 1);
    if (low === high) return longest;
  }
}

/** Makes a splitter for these tokens; of tokens spelled alike the first counts. Contents must not be empty. */
export function tokenSplitter(list: readonly MatchedToken[]): TokenSplitter {
  const distinct = new Map<string, MatchedToken>();
  for (const token of list) if (!distinct.has(token.content)) distinct.set(token.content, token);
  const tokens = [...distinct.values()].toSorted(byContent);
  const firstUnits = new Set(tokens.map((token) => token.content.charCodeAt(0)));
  return (text, keeps) => {
    const pieces: (number | string)[] = [];
    let end = 0;
    for (let at = 0; at < text.length; at++) {
      if (!firstUnits.has(text.charCodeAt(at))) continue;
      const token = matchAt(tokens, text, at);
      if (token === undefined) continue;
      if (keeps(token.id)) {
        if (at > end) pieces.push(text.slice(end, at));
        pieces.push(token.id);
        end = at + token.content.length;
      }
      at += token.content.length - 1;
    }
    if (end < text.length) pieces.push(text.slice(end));
    return pieces;
  };
}
