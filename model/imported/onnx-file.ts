import { OnnxFileError } from '../errors.js';
import { Model } from '../onnx/proto.js';
import type { Constant } from './constant.js';
import { constantOf, type RawTensor } from './onnx-tensor.js';

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

/** Versions of ONNX's operators that are understood. */
const OPSETS = { least: 9, most: 24 } as const;
/** More than any network has, so that a file cannot make much of little. */
const MAX_NODES = 100_000;

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

/** Bytes that are no ONNX model, or a damaged one. */
export class NotOnnxError extends OnnxFileError {}

/**
 * Decodes the messages of an ONNX model.
 * @throws NotOnnxError
 */
export function decodeModel(bytes: Uint8Array): ReturnType<typeof Model.decode> {
  try {
    return Model.decode(bytes);
  } catch (cause) {
    throw new NotOnnxError('it is not an ONNX model, or damaged', { cause }); // whose words are the decoder's
  }
}

/**
 * Reads an ONNX model. No size that it claims is believed before there are as many bytes.
 * @throws OnnxFileError
 */
export function readOnnx(bytes: Uint8Array): OnnxGraph {
  const raw: RawModel = Model.toObject(decodeModel(bytes), { longs: Number, defaults: false });
  const { graph } = raw;
  if (!graph?.node?.length) throw new NotOnnxError('it is not an ONNX model: it has no nodes');
  if (graph.node.length > MAX_NODES)
    throw new OnnxFileError(`it has ${graph.node.length} nodes, above ${MAX_NODES}`);
  const opset = raw.opsetImport?.find(({ domain }) => !domain || domain === 'ai.onnx')?.version ?? 0;
  if (opset < OPSETS.least || opset > OPSETS.most) {
    throw new OnnxFileError(
      `it uses version ${opset} of ONNX's operators; versions ${OPSETS.least} to ${OPSETS.most} are understood: export it with opset_version=17`,
    );
  }
  const constants = new Map<string, Constant>();
  for (const tensor of graph.initializer ?? []) {
    constants.set(tensor.name ?? '', constantOf(tensor, tensor.name ?? ''));
  }
  const nodes = graph.node.map((node): OnnxNode => {
    const { domain = '', opType = '', name, input = [], output = [], attribute = [] } = node;
    const own = domain === '' || domain === 'ai.onnx';
    return {
      name: name || (output.find((each) => each !== '') ?? opType),
      opType: own ? opType : `${domain}:${opType}`,
      inputs: input,
      outputs: output,
      attributes: new Map(attribute.map((each) => [each.name ?? '', attributeOf(each)])),
    };
  });
  const inputs = (graph.input ?? []).map(ioValueOf).filter(({ name }) => !constants.has(name));
  return { opset, nodes, constants, inputs, outputs: (graph.output ?? []).map(ioValueOf) };
}

function ioValueOf({ name = '', type }: RawValue): OnnxValue {
  const dims = type?.tensorType?.shape?.dim;
  return { name, dims: dims?.map(({ dimValue }) => (dimValue ? dimValue : null)) ?? null };
}

function attributeOf({ i, f, s, ints, floats, t, name }: RawAttribute): Attribute {
  return {
    i: i ?? 0,
    f: f ?? 0,
    ...(s && { s: Buffer.from(s).toString() }),
    ...(ints && { ints }),
    ...(floats && { floats }),
    ...(t && { t: constantOf(t, name ?? '') }),
  };
}
