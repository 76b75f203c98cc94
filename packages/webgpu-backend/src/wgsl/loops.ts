/**
 * Index arithmetic of nested loops that are walked by one counter.
 *
 *   place = ((index_0 · size_1 + index_1) · size_2 + index_2) …,   offset of an access = Σ index · stride
 *
 * Which accesses move along which loop, and which of them by one element, is part of the code; sizes and other strides are
 * uniforms. So a shader is shared by all sizes that are walked alike.
 */
import type { Uniforms } from './uniforms.js';

/** A loop, and how many elements each access moves per turn. */
export interface CountedLoop {
  readonly size: number;
  readonly strides: readonly number[];
}

export interface Walk {
  /** Statements that declare the indices, `<name>0` of the outermost loop first. */
  readonly statements: string;
  /** For each access the offset as an expression, `0u` when it does not move. */
  readonly offsets: readonly string[];
}

/**
 * @param name begins the names of the indices, so that a shader may hold several walks.
 * @param place expression of the counter.
 * @param accesses how many there are, which no loops would not tell.
 */
export function walkLoops(
  uniforms: Uniforms,
  name: string,
  place: string,
  loops: readonly CountedLoop[],
  accesses: number,
): Walk {
  const lines: string[] = [];
  let rest = place;
  for (let i = loops.length - 1; i > 0; i--) {
    const size = uniforms.u32(loops[i]!.size);
    lines.push(`let ${name}${i} = ${rest} % ${size};`, `let ${name}Rest${i} = ${rest} / ${size};`);
    rest = `${name}Rest${i}`;
  }
  if (loops.length > 0) lines.push(`let ${name}0 = ${rest};`);
  const offsetOf = (access: number): string =>
    loops
      .flatMap(({ strides }, i) => {
        const stride = strides[access]!;
        return stride === 0 ? [] : [stride === 1 ? `${name}${i}` : `${name}${i} * ${uniforms.u32(stride)}`];
      })
      .join(' + ') || '0u';
  return {
    statements: lines.map((line) => `  ${line}`).join('\n'),
    offsets: Array.from({ length: accesses }, (_, access) => offsetOf(access)),
  };
}

/** The same walk with fewer loops: those of size 1 left out, neighbours joined where every access moves on without a jump. */
export function joinLoops(loops: readonly CountedLoop[]): CountedLoop[] {
  const joined: CountedLoop[] = [];
  for (const inner of loops) {
    if (inner.size === 1) continue;
    const outer = joined.at(-1);
    if (outer?.strides.every((stride, access) => stride === inner.strides[access]! * inner.size))
      joined[joined.length - 1] = { ...inner, size: outer.size * inner.size };
    else joined.push(inner);
  }
  return joined;
}
