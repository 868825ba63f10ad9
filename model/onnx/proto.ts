import protobuf from 'protobufjs/light.js';

/** ONNX element types (`TensorProto.DataType`) in use. */
export const ElementType = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
} as const;
/**
 * Element types of the backend's tensors; `int64` is for ONNX's own shapes and axes, and `float16` for what is computed
 * inside of a graph.
 */
export type ElementName = Exclude<keyof typeof ElementType, 'int64' | 'float16'>;

/** An attribute's value. Numbers are written as INT and INTS, those in `float` and `floats` as FLOAT and FLOATS. */
export type AttributeValue =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] };
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** ONNX Runtime's own operators on blocked images; see `blocked.ts`. */
export const NCHWC = 'com.microsoft.nchwc';

/** ONNX Runtime's documented operators beside those of ONNX. */
export const CONTRIB = 'com.microsoft';

export interface NodeProto {
  /** An operator of ONNX, or `DOMAIN:NAME`. */
  opType: string;
  input: string[];
  output: string[];
  attributes: Attributes;
}

export interface TensorProto {
  name: string;
  dims: number[];
  dataType: (typeof ElementType)[keyof typeof ElementType];
  rawData: Uint8Array;
}

/** An input or output of the graph; a dimension that is known only at run time is a name. */
export interface ValueInfo {
  name: string;
  element: ElementName;
  dims: readonly (number | string)[];
}

const field = (id: number, type: string, rule?: 'repeated') => ({ id, type, ...(rule && { rule }) });

/** The messages of onnx.proto3 that a graph needs, written here or read, with their field numbers. */
const root = protobuf.Root.fromJSON({
  nested: {
    Attribute: {
      fields: {
        name: field(1, 'string'),
        f: field(2, 'float'),
        i: field(3, 'int64'),
        s: field(4, 'bytes'),
        t: field(5, 'Tensor'),
        floats: field(7, 'float', 'repeated'),
        ints: field(8, 'int64', 'repeated'),
        type: field(20, 'int32'),
      },
    },
    Node: {
      fields: {
        input: field(1, 'string', 'repeated'),
        output: field(2, 'string', 'repeated'),
        name: field(3, 'string'),
        opType: field(4, 'string'),
        attribute: field(5, 'Attribute', 'repeated'),
        domain: field(7, 'string'),
      },
    },
    Tensor: {
      fields: {
        dims: field(1, 'int64', 'repeated'),
        dataType: field(2, 'int32'),
        floatData: field(4, 'float', 'repeated'),
        int32Data: field(5, 'int32', 'repeated'),
        int64Data: field(7, 'int64', 'repeated'),
        name: field(8, 'string'),
        rawData: field(9, 'bytes'),
        doubleData: field(10, 'double', 'repeated'),
        externalData: field(13, 'Entry', 'repeated'),
        dataLocation: field(14, 'int32'),
      },
    },
    Entry: { fields: { key: field(1, 'string'), value: field(2, 'string') } },
    Dimension: { fields: { dimValue: field(1, 'int64'), dimParam: field(2, 'string') } },
    Shape: { fields: { dim: field(1, 'Dimension', 'repeated') } },
    TensorType: { fields: { elemType: field(1, 'int32'), shape: field(2, 'Shape') } },
    Type: { fields: { tensorType: field(1, 'TensorType') } },
    ValueInfo: { fields: { name: field(1, 'string'), type: field(2, 'Type') } },
    Graph: {
      fields: {
        node: field(1, 'Node', 'repeated'),
        name: field(2, 'string'),
        initializer: field(5, 'Tensor', 'repeated'),
        input: field(11, 'ValueInfo', 'repeated'),
        output: field(12, 'ValueInfo', 'repeated'),
      },
    },
    Opset: { fields: { domain: field(1, 'string'), version: field(2, 'int64') } },
    Model: {
      fields: {
        irVersion: field(1, 'int64'),
        producerName: field(2, 'string'),
        graph: field(7, 'Graph'),
        opsetImport: field(8, 'Opset', 'repeated'),
      },
    },
  },
});
export const Model = root.lookupType('Model');

const FLOAT = 1;
const INT = 2;
const STRING = 3;
const FLOATS = 6;
const INTS = 7;

function attributeProto(name: string, value: AttributeValue): object {
  if (typeof value === 'number') return { name, type: INT, i: value };
  if (typeof value === 'string') return { name, type: STRING, s: Buffer.from(value) };
  if ('float' in value) return { name, type: FLOAT, f: value.float };
  if ('floats' in value) return { name, type: FLOATS, floats: [...value.floats] };
  return { name, type: INTS, ints: [...value] };
}

function nodeProto({ opType, input, output, attributes }: NodeProto): object {
  const [name, domain] = opType.split(':').reverse();
  const attribute = Object.entries(attributes).map(([key, value]) => attributeProto(key, value));
  return { input, output, opType: name, attribute, ...(domain !== undefined && { domain }) };
}

function valueInfoProto({ name, element, dims }: ValueInfo): object {
  const dim = dims.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: ElementType[element], shape: { dim } } } };
}

/** The parts of a graph, in ONNX's terms. */
export interface Graph {
  readonly nodes: readonly NodeProto[];
  readonly initializers: readonly TensorProto[];
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
}

const isUsed = ({ nodes }: Graph, domain: string): boolean =>
  nodes.some(({ opType }) => opType.startsWith(`${domain}:`));

/** Serialises a graph as an ONNX model (IR 8, opset 18). */
export function encodeModel(graph: Graph): Uint8Array {
  return Model.encode({
    irVersion: 8,
    producerName: 'unseam',
    opsetImport: [
      { domain: '', version: 18 },
      ...[NCHWC, CONTRIB].filter((domain) => isUsed(graph, domain)).map((domain) => ({ domain, version: 1 })),
    ],
    graph: {
      name: 'recorded',
      node: graph.nodes.map(nodeProto),
      initializer: graph.initializers,
      input: graph.inputs.map(valueInfoProto),
      output: graph.outputs.map(valueInfoProto),
    },
  }).finish();
}
