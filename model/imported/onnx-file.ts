import { OnnxFileError } from '../errors.js';
import { floatsOf } from '../onnx/half/float16.js';
import { Model } from '../onnx/proto.js';
import { type Constant, sizeOf } from './constant.js';

/** A node's attribute, by what it was stored as. */
export interface Attribute {
  readonly i?: number;
  readonly f?: number;
  readonly s?: string;
  readonly ints?: readonly number[];
  readonly floats?: readonly number[];
  readonly t?: Constant;
}

export interface OnnxNode {
  /** Its own name, or that of its first output where it has none. */
  readonly name: string;
  /** An operator of ONNX, or `DOMAIN:NAME`. */
  readonly opType: string;
  /** Names of tensors; empty where an optional one is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

/** An input or output; a dimension that is not fixed is null. */
export interface OnnxValue {
  readonly name: string;
  readonly dims: readonly (number | null)[] | null;
}

export interface OnnxGraph {
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  readonly constants: ReadonlyMap<string, Constant>;
  /** Without those that have a constant. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

/** Reads a part of a file beside the model, in which weights are stored. @throws OnnxFileError */
export type ReadExternal = (location: string, offset: number, length: number | null) => Uint8Array;

/** Versions of ONNX's operators that are understood. */
const OPSETS = { least: 9, most: 24 } as const;
/** More than any network has, so that a file cannot make much of little. */
const MAX = { nodes: 100_000, rank: 8 } as const;

interface RawTensor {
  dims?: number[];
  dataType?: number;
  name?: string;
  rawData?: Uint8Array;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: number[];
  doubleData?: number[];
  externalData?: { key?: string; value?: string }[];
  dataLocation?: number;
}
interface RawAttribute {
  name?: string;
  f?: number;
  i?: number;
  s?: Uint8Array;
  t?: RawTensor;
  floats?: number[];
  ints?: number[];
  type?: number;
}
interface RawValue {
  name?: string;
  type?: { tensorType?: { shape?: { dim?: { dimValue?: number; dimParam?: string }[] } } };
}
interface RawModel {
  opsetImport?: { domain?: string; version?: number }[];
  graph?: {
    node?: {
      name?: string;
      opType?: string;
      domain?: string;
      input?: string[];
      output?: string[];
      attribute?: RawAttribute[];
    }[];
    initializer?: RawTensor[];
    input?: RawValue[];
    output?: RawValue[];
  };
}

const refuseExternal: ReadExternal = (location) => {
  throw new OnnxFileError(`its weights are in another file, "${location}": import the folder that has both`);
};

/**
 * Decodes the messages of an ONNX model.
 * @throws OnnxFileError for bytes that are not one
 */
export function decodeModel(bytes: Uint8Array): ReturnType<typeof Model.decode> {
  try {
    return Model.decode(bytes);
  } catch (cause) {
    throw new OnnxFileError(`it is not an ONNX model: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Reads an ONNX model. No size that it claims is believed before there are as many bytes.
 * @throws OnnxFileError
 */
export function readOnnx(bytes: Uint8Array, readExternal: ReadExternal = refuseExternal): OnnxGraph {
  const raw: RawModel = Model.toObject(decodeModel(bytes), { longs: Number, defaults: false });
  const { graph } = raw;
  if (!graph?.node?.length) throw new OnnxFileError('it is not an ONNX model: it has no nodes');
  if (graph.node.length > MAX.nodes)
    throw new OnnxFileError(`it has ${graph.node.length} nodes, above ${MAX.nodes}`);
  const opset = raw.opsetImport?.find(({ domain }) => !domain || domain === 'ai.onnx')?.version ?? 0;
  if (opset < OPSETS.least || opset > OPSETS.most) {
    throw new OnnxFileError(
      `it uses version ${opset} of ONNX's operators; versions ${OPSETS.least} to ${OPSETS.most} are understood: export it with opset_version=17`,
    );
  }
  const constants = new Map<string, Constant>();
  for (const tensor of graph.initializer ?? []) {
    constants.set(tensor.name ?? '', constantOf(tensor, tensor.name ?? '', readExternal));
  }
  const nodes = graph.node.map((node): OnnxNode => {
    const { domain = '', opType = '', name, input = [], output = [], attribute = [] } = node;
    const own = domain === '' || domain === 'ai.onnx';
    return {
      name: name || (output.find((each) => each !== '') ?? opType),
      opType: own ? opType : `${domain}:${opType}`,
      inputs: input,
      outputs: output,
      attributes: new Map(attribute.map((each) => [each.name ?? '', attributeOf(each, readExternal)])),
    };
  });
  const inputs = (graph.input ?? []).map(ioValueOf).filter(({ name }) => !constants.has(name));
  return { opset, nodes, constants, inputs, outputs: (graph.output ?? []).map(ioValueOf) };
}

function ioValueOf({ name = '', type }: RawValue): OnnxValue {
  const dims = type?.tensorType?.shape?.dim;
  return { name, dims: dims?.map(({ dimValue }) => (dimValue ? dimValue : null)) ?? null };
}

function attributeOf(
  { i, f, s, ints, floats, t, name }: RawAttribute,
  readExternal: ReadExternal,
): Attribute {
  return {
    i: i ?? 0,
    f: f ?? 0,
    ...(s && { s: Buffer.from(s).toString() }),
    ...(ints && { ints }),
    ...(floats && { floats }),
    ...(t && { t: constantOf(t, name ?? '', readExternal) }),
  };
}

/** Element types of `TensorProto.DataType`, with their bytes and how they are read. */
const ELEMENTS: Readonly<Record<number, { name: string; bytes: number; type: Constant['type'] }>> = {
  1: { name: 'float32', bytes: 4, type: 'float' },
  2: { name: 'uint8', bytes: 1, type: 'int' },
  3: { name: 'int8', bytes: 1, type: 'int' },
  6: { name: 'int32', bytes: 4, type: 'int' },
  7: { name: 'int64', bytes: 8, type: 'int' },
  9: { name: 'bool', bytes: 1, type: 'bool' },
  10: { name: 'float16', bytes: 2, type: 'float' },
  11: { name: 'float64', bytes: 8, type: 'float' },
  16: { name: 'bfloat16', bytes: 2, type: 'float' },
};

function constantOf(tensor: RawTensor, name: string, readExternal: ReadExternal): Constant {
  const { dims = [], dataType = 0 } = tensor;
  const element = ELEMENTS[dataType];
  if (!element)
    throw new OnnxFileError(`its tensor "${name}" has elements of type ${dataType}, which are not read`);
  if (dims.length > MAX.rank || !dims.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw new OnnxFileError(`its tensor "${name}" has the shape [${dims}]`);
  }
  const count = sizeOf(dims);
  const bytes = bytesOf(tensor, name, readExternal, count * element.bytes);
  const listed = bytes === null ? listOf(tensor, element.name) : null;
  const found = bytes === null ? listed!.length : bytes.length / element.bytes;
  if (found !== count) throw new OnnxFileError(`its tensor "${name}" of shape [${dims}] has ${found} values`);
  const values = bytes === null ? listed! : valuesIn(bytes, element.name);
  return {
    dims,
    type: element.type,
    values: element.type === 'float' ? toFloats(values) : toNumbers(values),
  };
}

const toFloats = (values: ArrayLike<number>): Float32Array =>
  values instanceof Float32Array ? values : Float32Array.from(values);
const toNumbers = (values: ArrayLike<number>): Float64Array => Float64Array.from(values);

/** The bytes of a tensor, a copy that is aligned; null where its values are listed. */
function bytesOf(
  { rawData, externalData, dataLocation }: RawTensor,
  name: string,
  readExternal: ReadExternal,
  expected: number,
): Uint8Array | null {
  if (dataLocation !== 1) return rawData?.length ? Uint8Array.from(rawData) : null;
  const entries = new Map((externalData ?? []).map(({ key = '', value = '' }) => [key, value]));
  const [offset, length] = [Number(entries.get('offset') ?? 0), Number(entries.get('length') ?? expected)];
  if (!Number.isSafeInteger(offset) || offset < 0 || length !== expected) {
    throw new OnnxFileError(
      `its tensor "${name}" claims ${entries.get('length')} bytes at ${entries.get('offset')} of another file`,
    );
  }
  return Uint8Array.from(readExternal(entries.get('location') ?? '', offset, length));
}

function listOf(tensor: RawTensor, element: string): ArrayLike<number> {
  switch (element) {
    case 'float32':
      return tensor.floatData ?? [];
    case 'float64':
      return tensor.doubleData ?? [];
    case 'int64':
      return tensor.int64Data ?? [];
    case 'float16':
      return floatsOf(Uint16Array.from(tensor.int32Data ?? []));
    case 'bfloat16':
      return widened(Uint16Array.from(tensor.int32Data ?? []));
    default:
      return tensor.int32Data ?? [];
  }
}

function valuesIn({ buffer }: Uint8Array, element: string): ArrayLike<number> {
  switch (element) {
    case 'float32':
      return new Float32Array(buffer);
    case 'float64':
      return new Float64Array(buffer);
    case 'int64':
      return Array.from(new BigInt64Array(buffer), Number);
    case 'int32':
      return new Int32Array(buffer);
    case 'int8':
      return new Int8Array(buffer);
    case 'float16':
      return floatsOf(new Uint16Array(buffer));
    case 'bfloat16':
      return widened(new Uint16Array(buffer));
    default:
      return new Uint8Array(buffer);
  }
}

/** The upper halves of floats as floats. */
const widened = (halves: Uint16Array): Float32Array =>
  new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
