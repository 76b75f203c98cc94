/**
 * Marks on the nodes being built: a checkpoint's second run of its body is told apart from the first, so that a plan can
 * say what is recomputed.
 */
let recomputing = false;

/** Builds graph whose nodes are marked as recomputation. */
export function asRecomputation<T>(build: () => T): T {
  const before = recomputing;
  recomputing = true;
  try {
    return build();
  } finally {
    recomputing = before;
  }
}

export const isRecomputing = (): boolean => recomputing;
