import { OnnxFileError } from '../errors.js';
import { Model } from '../onnx/proto.js';
import { decodeModel, type ReadExternal } from './onnx-file.js';

interface Tensor {
  dataLocation?: number;
  externalData?: { key?: string; value?: string }[];
  rawData?: Uint8Array;
}
interface Packed {
  graph?: {
    output: { name?: string }[];
    initializer?: Tensor[];
    input: {
      name?: string;
      type?: { tensorType?: { shape?: { dim?: { dimValue?: number; dimParam?: string }[] } } };
    }[];
  };
}

/**
 * An ONNX model as one file with one output, as it is stored: weights of other files become part of it.
 * @throws OnnxFileError for bytes that are not an ONNX model, and where a file is missing
 */
export function packOnnx(bytes: Uint8Array, output: string | null, readExternal: ReadExternal): Uint8Array {
  const message = decodeModel(bytes) as unknown as Packed;
  const { graph } = message;
  if (!graph) throw new OnnxFileError('it is not an ONNX model: it has no graph');
  const external = (graph.initializer ?? []).filter(({ dataLocation }) => dataLocation === 1);
  const isOne = output === null || graph.output.length === 1;
  if (isOne && external.length === 0) return bytes;
  if (!isOne) {
    graph.output = graph.output.filter(({ name }) => name === output);
    if (graph.output.length === 0) graph.output = [{ name: output }];
  }
  for (const tensor of external) {
    const entries = new Map((tensor.externalData ?? []).map(({ key = '', value = '' }) => [key, value]));
    const location = entries.get('location');
    if (location === undefined) throw new OnnxFileError('a tensor does not say in which file it is');
    const length = entries.has('length') ? Number(entries.get('length')) : null;
    tensor.rawData = readExternal(location, Number(entries.get('offset') ?? 0), length);
    tensor.externalData = [];
    tensor.dataLocation = 0;
  }
  return Model.encode(message as never).finish();
}
