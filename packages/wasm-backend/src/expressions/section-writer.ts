/** Writes the nodes of one section: operands are loaded, constants are splatted, ops are computed, results are stored. */
import type { ExpressionNode } from '@mindseye/tensor-core';
import type { Expression, Local } from '../emit/index.js';
import { type ElementLanes, loadElement, splatConstant, storeElement } from './element.js';
import { type NodeContext, type Vector, nodeCode } from './node-code.js';
import { type SectionName, constantName } from './signature.js';

/** Where the element of an operand is. */
export interface OperandAccess {
  readonly pointer: Local<'i32'>;
  /** True where neighbours along the innermost loop are neighbours in memory; else one element serves the whole loop. */
  readonly moves: boolean;
}

/** The section after its constants are set, which must be before all loops. */
export interface SectionWriter {
  /** Writes the nodes that are the same along the whole innermost loop; a node that moves needs `write`. */
  writeFixed(): void;
  /** Writes the nodes that differ from lane to lane. */
  write(lanes: ElementLanes): void;
  value(node: number): Vector;
  store(lanes: ElementLanes, node: number, pointer: Local<'i32'>): void;
}

export interface SectionRequest {
  readonly section: SectionName;
  readonly nodes: readonly ExpressionNode[];
  /** Parameters by name. */
  readonly parameters: Readonly<Record<string, Local>>;
  readonly access: (operand: number) => OperandAccess;
  /** How a fixed element is loaded. */
  readonly fixedLanes: ElementLanes;
  /** Variable that holds the value of the reduction when an epilogue is written. */
  readonly reduced?: Vector;
}

export function sectionWriter(context: NodeContext, request: SectionRequest): SectionWriter {
  const { f } = context;
  const { section, nodes, parameters, access, fixedLanes, reduced } = request;
  const values: Vector[] = [];
  const makers = new Map<number, (inputs: readonly Vector[]) => Expression<'v128'>>();
  const prepared = new Map<string, (inputs: readonly Vector[]) => Expression<'v128'>>();
  const moves: boolean[] = [];
  nodes.forEach((node, i) => {
    moves[i] = node.kind === 'operand' ? access(node.operand).moves : node.kind === 'reduced';
    if (node.kind === 'constant')
      values[i] = f.let('constant', splatConstant(node.dtype, parameters[constantName(section, i)]!));
    if (node.kind === 'reduced') values[i] = reduced!;
    if (node.kind !== 'apply') return;
    moves[i] = node.inputs.some((input) => moves[input]);
    const dtypes = node.inputs.map((input) => nodes[input]!.dtype);
    const key = `${node.op} ${dtypes.join()} ${JSON.stringify(node.attributes)}`;
    // Nodes of one kind share their constants.
    const maker = prepared.get(key) ?? nodeCode(node.op, dtypes, node.attributes)!(context);
    prepared.set(key, maker);
    makers.set(i, maker);
  });

  const writeNode = (node: ExpressionNode, i: number, lanes: ElementLanes): void => {
    if (node.kind === 'operand')
      values[i] = f.let('element', loadElement(lanes, node.dtype, access(node.operand).pointer));
    if (node.kind === 'apply') values[i] = f.let('node', makers.get(i)!(node.inputs.map((input) => values[input]!)));
  };
  return {
    writeFixed: () => nodes.forEach((node, i) => !moves[i] && writeNode(node, i, fixedLanes)),
    write: (lanes) => nodes.forEach((node, i) => moves[i] && writeNode(node, i, lanes)),
    value: (node) => values[node]!,
    store: (lanes, node, pointer) => f.do(storeElement(lanes, nodes[node]!.dtype, pointer, values[node]!)),
  };
}
