/** Walks of the lazy graph. Iterative, because a training step's graph is deeper than the call stack. */
import type { GraphNode, Tensor } from '../tensor.js';

/**
 * Every node that `roots` are computed from, producers before consumers. Materialised tensors end the walk, and so do
 * those that `isKnown` holds for.
 */
export function topologicalOrder(roots: readonly Tensor[], isKnown?: (tensor: Tensor) => boolean): GraphNode[] {
  const order: GraphNode[] = [];
  const seen = new Set<GraphNode>();
  const stack: { readonly node: GraphNode; next: number }[] = [];
  const enter = (tensor: Tensor): void => {
    const node = tensor.producer;
    if (node && !seen.has(node) && !isKnown?.(tensor)) {
      seen.add(node);
      stack.push({ node, next: 0 });
    }
  };
  for (const root of roots) {
    enter(root);
    while (stack.length > 0) {
      const frame = stack.at(-1)!;
      const input = frame.node.inputs[frame.next++];
      if (input) {
        enter(input);
      } else {
        order.push(frame.node);
        stack.pop();
      }
    }
  }
  return order;
}
