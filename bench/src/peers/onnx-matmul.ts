/**
 * An ONNX model of one MatMul, written as protocol buffers by hand: fields are (number, wire type) keys followed by a
 * varint or by a length and bytes. Field numbers: onnx/onnx.proto3, messages ModelProto, GraphProto, NodeProto.
 */
const varint = (value: number): number[] => (value > 127 ? [(value & 127) | 128, ...varint(value >>> 7)] : [value]);
const integer = (field: number, value: number): number[] => [...varint(field << 3), ...varint(value)];
const bytes = (field: number, content: readonly number[]): number[] => [
  ...varint((field << 3) | 2),
  ...varint(content.length),
  ...content,
];
const text = (field: number, value: string): number[] => bytes(field, [...new TextEncoder().encode(value)]);

const [FLOAT, IR_VERSION, OPSET] = [1, 8, 17];

function valueInfo(name: string, shape: readonly number[]): number[] {
  const dimensions = shape.flatMap((size) => bytes(1, integer(1, size)));
  const tensorType = [...integer(1, FLOAT), ...bytes(2, dimensions)];
  return [...text(1, name), ...bytes(2, bytes(1, tensorType))];
}

/** c = a · b with a [m, k] and b [k, n]. */
export function matmulModel(m: number, n: number, k: number): Uint8Array {
  const node = [...text(1, 'a'), ...text(1, 'b'), ...text(2, 'c'), ...text(4, 'MatMul')];
  const graph = [
    ...bytes(1, node),
    ...text(2, 'matmul'),
    ...bytes(11, valueInfo('a', [m, k])),
    ...bytes(11, valueInfo('b', [k, n])),
    ...bytes(12, valueInfo('c', [m, n])),
  ];
  return Uint8Array.from([...integer(1, IR_VERSION), ...bytes(7, graph), ...bytes(8, integer(2, OPSET))]);
}
