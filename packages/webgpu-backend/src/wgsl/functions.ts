/** WGSL functions that shaders declare when they call them, each once however many pieces need it. */
export interface WgslFunctions {
  readonly source: string;
  /** Functions that `source` calls. */
  readonly uses?: readonly WgslFunctions[];
}

/** A piece of a shader's module scope: functions by need, or text that only this shader has. */
export type Declaration = WgslFunctions | string;

/** The source of all pieces and of what they use, without repetition. */
export function declare(pieces: readonly Declaration[]): string {
  const sources = new Set<string>();
  const visit = (piece: Declaration): void => {
    if (typeof piece === 'string') {
      sources.add(piece);
      return;
    }
    piece.uses?.forEach(visit);
    sources.add(piece.source);
  };
  pieces.forEach(visit);
  return [...sources].filter(Boolean).join('\n');
}
