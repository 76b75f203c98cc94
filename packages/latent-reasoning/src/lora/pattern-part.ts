/**
 * Parts of a pattern as functions from a place in a text to the places where they can end.
 *
 * Each part computes its ends at a place once for a text, so a match takes at most parts · length² steps however a pattern
 * is nested; a budget ends what is worse than any real pattern. Nothing is captured.
 */

/** Steps for one text; a pattern of a hundred names takes a few thousand. */
const budget = 200_000;

/** A match took more steps than any sensible pattern needs. */
export class PatternBudgetError extends Error {
  override readonly name = 'PatternBudgetError';
}

/** One text, and what is known about it so far. */
export interface PatternRun {
  readonly text: string;
  readonly known: Map<PatternPart, Map<number, ReadonlySet<number>>>;
  steps: number;
}

/** Places where a part can end when it starts at `at`. */
export type PatternPart = (run: PatternRun, at: number) => ReadonlySet<number>;

const none: ReadonlySet<number> = new Set();

/** True where the whole of `text` matches. @throws PatternBudgetError */
export const matchesWhole = (part: PatternPart, text: string): boolean =>
  part({ text, known: new Map(), steps: 0 }, 0).has(text.length);

function step(run: PatternRun): void {
  if (++run.steps > budget) throw new PatternBudgetError();
}

/** `compute`, asked once for each place of a text. */
function once(compute: PatternPart): PatternPart {
  const part: PatternPart = (run, at) => {
    let places = run.known.get(part);
    if (!places) run.known.set(part, (places = new Map()));
    let found = places.get(at);
    if (!found) {
      step(run);
      places.set(at, (found = compute(run, at)));
    }
    return found;
  };
  return part;
}

function after(run: PatternRun, part: PatternPart, from: ReadonlySet<number>): Set<number> {
  const reached = new Set<number>();
  for (const at of from) {
    for (const end of part(run, at)) {
      step(run);
      reached.add(end);
    }
  }
  return reached;
}

/** One character that passes the test. */
export const character = (test: (own: string) => boolean): PatternPart =>
  once(({ text }, at) => (at < text.length && test(text[at]!) ? new Set([at + 1]) : none));

/** A place that passes the test: an end of the text, the edge of a word. */
export const place = (test: (text: string, at: number) => boolean): PatternPart =>
  once(({ text }, at) => (test(text, at) ? new Set([at]) : none));

/** Parts one after another. */
export const sequence = (parts: readonly PatternPart[]): PatternPart =>
  once((run, at) => parts.reduce<ReadonlySet<number>>((from, part) => after(run, part, from), new Set([at])));

/** One of several parts. */
export const choice = (options: readonly PatternPart[]): PatternPart =>
  options.length === 1
    ? options[0]!
    : once((run, at) => new Set(options.flatMap((option) => [...after(run, option, new Set([at]))])));

/** A part `least` to `most` times, which may be Infinity. */
export const repeat = (part: PatternPart, least: number, most: number): PatternPart =>
  once((run, at) => {
    let edge: ReadonlySet<number> = new Set([at]);
    for (let count = 0; count < least && edge.size > 0; count++) edge = after(run, part, edge);
    const reached = new Set(edge);
    // A place that is reached again has been reached with fewer repetitions before.
    for (let count = least; count < most && edge.size > 0; count++) {
      edge = new Set([...after(run, part, edge)].filter((end) => !reached.has(end)));
      for (const end of edge) reached.add(end);
    }
    return reached;
  });

/** Looks at what follows, or at what comes before, without moving; `wanted` says whether it has to be there. */
export const look = (part: PatternPart, behind: boolean, wanted: boolean): PatternPart =>
  once((run, at) => {
    let seen = false;
    if (!behind) seen = part(run, at).size > 0;
    else for (let start = 0; start <= at && !seen; start++) seen = part(run, start).has(at);
    return seen === wanted ? new Set([at]) : none;
  });
