/**
 * ONNX models of a single node, written as protocol buffers by hand: fields are (number, wire type) keys followed by a varint
 * or by a length and bytes. Field numbers: onnx/onnx.proto3, messages ModelProto, GraphProto, NodeProto, AttributeProto.
 */
import { varint } from '../varint.ts';

/** Integers are varints, other numbers floats. */
export interface OnnxNode {
  readonly op: string;
  /** The set of ops it is from; the standard one when left out. */
  readonly domain?: string;
  /** Shapes of the inputs by name, all f32, in the order of the op. An empty shape list stands for an input left out. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  /** Inputs that are part of the model, as a weight is, so that a runtime may prepare them. */
  readonly constants?: Readonly<Record<string, Float32Array>>;
  readonly output: readonly number[];
  readonly integers?: Readonly<Record<string, number>>;
  readonly floats?: Readonly<Record<string, number>>;
  readonly strings?: Readonly<Record<string, string>>;
}

/** Name of the result. */
export const OUTPUT = 'result';

const integer = (field: number, value: number): number[] => [...varint(field << 3), ...varint(value)];
const key = (field: number): number[] => varint((field << 3) | 2);
const bytes = (field: number, content: readonly number[]): number[] => [
  ...key(field),
  ...varint(content.length),
  ...content,
];
const text = (field: number, value: string): number[] => bytes(field, [...new TextEncoder().encode(value)]);
const float = (field: number, value: number): number[] => [
  ...varint((field << 3) | 5),
  ...new Uint8Array(Float32Array.of(value).buffer),
];

const [FLOAT, IR_VERSION] = [1, 10];
/** Version of each set of ops. */
const OPSETS = { '': 23, 'com.microsoft': 1 } as const;
const ATTRIBUTE = { float: 1, integer: 2, string: 3 } as const;

function valueInfo(name: string, shape: readonly number[]): number[] {
  const dimensions = shape.flatMap((size) => bytes(1, integer(1, size)));
  const tensorType = [...integer(1, FLOAT), ...bytes(2, dimensions)];
  return [...text(1, name), ...bytes(2, bytes(1, tensorType))];
}

const attribute = (name: string, type: keyof typeof ATTRIBUTE, value: readonly number[]): number[] =>
  bytes(5, [...text(1, name), ...value, ...integer(20, ATTRIBUTE[type])]);

/** An initializer; its values are appended as bytes, because they may be millions. */
function constant(name: string, shape: readonly number[], values: Float32Array): Uint8Array {
  const head = [...shape.flatMap((size) => integer(1, size)), ...integer(2, FLOAT), ...text(8, name)];
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return concatenate([Uint8Array.from([...head, ...key(9), ...varint(raw.length)]), raw]);
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

const framed = (field: number, content: Uint8Array): Uint8Array =>
  concatenate([Uint8Array.from([...key(field), ...varint(content.length)]), content]);

/** The model of a node; its result is called `OUTPUT`. */
export function onnxModel(node: OnnxNode): Uint8Array {
  const { op, domain = '', inputs, constants = {}, output, integers = {}, floats = {}, strings = {} } = node;
  const nodeBytes = [
    ...Object.keys(inputs).flatMap((name) => text(1, name)),
    ...text(2, OUTPUT),
    ...text(4, op),
    ...Object.entries(integers).flatMap(([name, value]) => attribute(name, 'integer', integer(3, value))),
    ...Object.entries(floats).flatMap(([name, value]) => attribute(name, 'float', float(2, value))),
    ...Object.entries(strings).flatMap(([name, value]) => attribute(name, 'string', text(4, value))),
    ...text(7, domain),
  ];
  const given = Object.entries(inputs).filter(([name]) => !constants[name]);
  const graph = concatenate([
    Uint8Array.from([...bytes(1, nodeBytes), ...text(2, op)]),
    ...Object.entries(constants).map(([name, values]) => framed(5, constant(name, inputs[name]!, values))),
    Uint8Array.from(given.flatMap(([name, shape]) => bytes(11, valueInfo(name, shape)))),
    Uint8Array.from(bytes(12, valueInfo(OUTPUT, output))),
  ]);
  return concatenate([
    Uint8Array.from(integer(1, IR_VERSION)),
    framed(7, graph),
    ...Object.entries(OPSETS).map(([name, version]) =>
      Uint8Array.from(bytes(8, [...text(1, name), ...integer(2, version)])),
    ),
  ]);
}
