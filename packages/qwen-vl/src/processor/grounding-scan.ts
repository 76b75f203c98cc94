/**
 * Finds boxes and points in text a model wrote. Three notations are read, mixed and inside any prose:
 *
 *   {"bbox_2d": [x1, y1, x2, y2], "label": "…"}      Qwen2.5-VL, usually a list in ```json
 *   {"point_2d": [x, y], "label": "…"}
 *   <|object_ref_start|>…<|object_ref_end|><|box_start|>(x1,y1),(x2,y2)<|box_end|>      Qwen2-VL
 *   <|quad_start|>(x1,y1),(x2,y2),(x3,y3),(x4,y4)<|quad_end|>
 *   <points x1="…" y1="…" x2="…" y2="…" alt="…">…</points>, <point x="…" y="…" alt="…">
 *
 * Answers end where the token limit is, so text may stop anywhere: what has all its coordinates counts, what has not is left
 * out. The text is not trusted. It is walked once, every character is looked at a bounded number of times, and nothing in it
 * throws.
 *
 * Source: Qwen2.5-VL report (arXiv 2502.13923) and the spatial understanding cookbook of its repository.
 */
import type { Point } from './coordinates.js';

export interface ScannedShape {
  readonly kind: 'box' | 'point' | 'polygon';
  /** Two opposite corners, one point, or all corners. */
  readonly points: readonly Point[];
  readonly label: string | null;
}

/** Keys of an object that hold coordinates, with the kind and how many numbers make one shape. */
const COORDINATE_KEYS: ReadonlyMap<string, readonly [kind: ScannedShape['kind'], numbers: number]> = new Map([
  ['bbox_2d', ['box', 4]],
  ['point_2d', ['point', 2]],
]);
/** Keys that hold the label, the first counts most. */
const LABEL_KEYS: readonly string[] = ['label', 'text_content', 'text', 'name'];
/** Objects open at once; of deeper ones the outermost are forgotten. */
const MAX_DEPTH = 32;
/** Longest number read, in characters. */
const MAX_NUMBER = 32;
const NUMBER = /[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?/y;

interface OpenObject {
  readonly shapes: Omit<ScannedShape, 'label'>[];
  /** By the rank of its key. */
  readonly labels: (string | undefined)[];
}

function pointsOf(numbers: readonly number[]): readonly Point[] {
  return numbers.flatMap((x, index) => (index % 2 === 0 ? [{ x, y: numbers[index + 1]! }] : []));
}

class Scanner {
  readonly shapes: ScannedShape[] = [];
  readonly #text: string;
  readonly #open: OpenObject[] = [];
  /** Markers that do not occur in the rest of the text, so that nobody searches for them again. */
  readonly #absent = new Set<string>();
  #at = 0;
  /** Of the last `<|object_ref_start|>`. */
  #reference: string | null = null;

  constructor(text: string) {
    this.#text = text;
  }

  run(): readonly ScannedShape[] {
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at]!;
      if (character === '{') this.#openObject();
      else if (character === '}') this.#closeObject();
      else if (character === '"' && this.#open.length > 0) this.#member();
      else if (character === '<') this.#tag();
      else this.#at++;
    }
    while (this.#open.length > 0) this.#closeObject();
    return this.shapes;
  }

  #openObject(): void {
    if (this.#open.length === MAX_DEPTH) this.#open.shift();
    this.#open.push({ shapes: [], labels: [] });
    this.#at++;
  }

  #closeObject(): void {
    this.#at++;
    const closed = this.#open.pop();
    if (closed === undefined) return;
    const label = closed.labels.find((value) => value !== undefined) ?? null;
    for (const shape of closed.shapes) this.shapes.push({ ...shape, label });
  }

  /** A string inside an object, and its value if it is a key that matters. */
  #member(): void {
    const key = this.#string();
    if (key === null) return;
    this.#skipSpace();
    if (this.#text[this.#at] !== ':') return;
    this.#at++;
    this.#skipSpace();
    const object = this.#open.at(-1)!;
    const coordinates = COORDINATE_KEYS.get(key);
    const rank = LABEL_KEYS.indexOf(key);
    if (coordinates !== undefined) this.#coordinates(object, ...coordinates);
    else if (rank >= 0 && this.#text[this.#at] === '"') object.labels[rank] ??= this.#string() ?? undefined;
  }

  /** The string that begins here, or null if it does not end on its line. */
  #string(): string | null {
    const start = this.#at++;
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at];
      if (character === '\n') return null;
      if (character === '\\') this.#at++;
      else if (character === '"') {
        const quoted = this.#text.slice(start, ++this.#at);
        try {
          return String(JSON.parse(quoted));
        } catch {
          return quoted.slice(1, -1);
        }
      }
    }
    return null;
  }

  /** A list of numbers, or a list of such lists; each group counts once its bracket is closed. */
  #coordinates(object: OpenObject, kind: ScannedShape['kind'], size: number): void {
    let depth = 0;
    let group: number[] = [];
    for (; this.#at < this.#text.length;) {
      const character = this.#text[this.#at]!;
      if (character === '[') {
        depth++;
        group = [];
      } else if (character === ']') {
        if (group.length === size && group.every(Number.isFinite))
          object.shapes.push({ kind, points: pointsOf(group) });
        group = [];
        if (--depth <= 0) {
          this.#at++;
          return;
        }
      } else if (depth > 0 && this.#number(group)) continue;
      else if (depth === 0 || !/[\s,]/.test(character)) return;
      this.#at++;
    }
  }

  #number(group: number[]): boolean {
    NUMBER.lastIndex = 0;
    const match = NUMBER.exec(this.#text.slice(this.#at, this.#at + MAX_NUMBER));
    if (match === null) return false;
    group.push(Number(match[0]));
    this.#at += match[0].length;
    return true;
  }

  #skipSpace(): void {
    while (/\s/.test(this.#text[this.#at] ?? '')) this.#at++;
  }

  /** A tag means that whatever object was open is no object. */
  #tag(): void {
    const found = TAGS.find(([start]) => this.#text.startsWith(start, this.#at));
    if (found === undefined) {
      this.#at++;
      return;
    }
    const [start, end, read] = found;
    this.#open.length = 0;
    this.#at += start.length;
    const content = this.#upTo(end);
    if (content !== null) read(this, content);
  }

  /** The text from here to a marker, behind which the walk goes on; null if there is none. */
  #upTo(marker: string): string | null {
    if (this.#absent.has(marker)) return null;
    const end = this.#text.indexOf(marker, this.#at);
    if (end < 0) {
      this.#absent.add(marker);
      return null;
    }
    const content = this.#text.slice(this.#at, end);
    this.#at = end + marker.length;
    return content;
  }

  readReference(content: string): void {
    this.#reference = content;
  }

  /** `(x1,y1),(x2,y2),…`, as many numbers as one shape has or several shapes of them. */
  readCorners(content: string, kind: ScannedShape['kind'], size: number): void {
    const numbers = content
      .split(/[(),\s]+/)
      .filter((part) => part !== '' && part.length <= MAX_NUMBER)
      .map(Number);
    for (let first = 0; first + size <= numbers.length; first += size) {
      const group = numbers.slice(first, first + size);
      if (group.every(Number.isFinite)) this.shapes.push({ kind, points: pointsOf(group), label: this.#reference });
    }
  }

  /** The attributes of `<points …>`, then the text up to its end. */
  readPoints(attributes: string): void {
    const inner = this.#text[this.#at - 2] === '/' ? null : this.#upTo('</point');
    const values = attributesOf(attributes);
    const label = values.get('alt') ?? inner?.trim() ?? null;
    for (const [name, value] of values) {
      if (!/^x\d{0,6}$/.test(name)) continue;
      const [x, y] = [value, values.get(`y${name.slice(1)}`)].map((text) => (text?.trim() ? Number(text) : NaN));
      if (Number.isFinite(x) && Number.isFinite(y))
        this.shapes.push({ kind: 'point', points: [{ x: x!, y: y! }], label });
    }
  }
}

/** Start, end and meaning of the tags; a longer start stands before a shorter one. */
const TAGS: readonly (readonly [start: string, end: string, read: (scanner: Scanner, content: string) => void])[] = [
  ['<|object_ref_start|>', '<|object_ref_end|>', (scanner, content) => scanner.readReference(content)],
  ['<|box_start|>', '<|box_end|>', (scanner, content) => scanner.readCorners(content, 'box', 4)],
  ['<|quad_start|>', '<|quad_end|>', (scanner, content) => scanner.readCorners(content, 'polygon', 8)],
  ['<points ', '>', (scanner, content) => scanner.readPoints(content)],
  ['<point ', '>', (scanner, content) => scanner.readPoints(content)],
];

/** `name="value"` pairs, by splitting at the quotes: odd parts are values, the part before each ends in its name. */
function attributesOf(text: string): ReadonlyMap<string, string> {
  const parts = text.split('"');
  const values = new Map<string, string>();
  for (let value = 1; value < parts.length - 1; value += 2) {
    const [name = ''] = parts[value - 1]!.trim().split('=');
    values.set(name.trim(), parts[value]!);
  }
  return values;
}

/** @param text anything */
export const scanGrounding = (text: string): readonly ScannedShape[] => new Scanner(text).run();
