import { ModelChoiceError, OnnxFileError } from '../errors.js';
import { Model } from '../onnx/proto.js';
import { decodeModel, NotOnnxError } from './onnx-file.js';
import { byteLengthOf, IN_OTHER_FILE, type RawTensor } from './onnx-tensor.js';

/** Reads a part of a file beside the model, in which weights are stored. @throws OnnxFileError */
export type ReadExternal = (location: string, offset: number, length: number) => Uint8Array;

/** Bytes of a model with all of its weights, at most: one file of ONNX cannot have more. */
const MAX_BYTES = 2 ** 31 - 1;

interface Packed {
  graph?: {
    output: { name?: string }[];
    initializer?: RawTensor[];
    input: {
      name?: string;
      type?: { tensorType?: { shape?: { dim?: { dimValue?: number; dimParam?: string }[] } } };
    }[];
  };
}

/**
 * An ONNX model as one file with one output, as it is stored: weights of other files become part of it.
 * @param output that is kept; null for all of them
 * @throws OnnxFileError for bytes that are not an ONNX model, where a file is missing, and where the weights claim other
 * bytes than their shapes have; ModelChoiceError for an output that the model does not have
 */
export function packOnnx(bytes: Uint8Array, output: string | null, readExternal: ReadExternal): Uint8Array {
  const message = decodeModel(bytes) as unknown as Packed;
  const { graph } = message;
  if (!graph) throw new NotOnnxError('it is not an ONNX model: it has no graph');
  const external = (graph.initializer ?? []).filter(({ dataLocation }) => dataLocation === IN_OTHER_FILE);
  if (output !== null) checkOutput(graph.output, output);
  const isOne = output === null || graph.output.length === 1;
  if (isOne && external.length === 0) return bytes;
  if (!isOne) graph.output = graph.output.filter(({ name }) => name === output);
  const parts = external.map(partOf);
  const total = parts.reduce((sum, { length }) => sum + length, bytes.length);
  if (total > MAX_BYTES)
    throw new OnnxFileError(`it has ${total} bytes with its weights; at most ${MAX_BYTES} are supported`);
  for (const [i, tensor] of external.entries()) {
    const { location, offset, length } = parts[i]!;
    tensor.rawData = readExternal(location, offset, length);
    tensor.externalData = [];
    tensor.dataLocation = 0;
  }
  return Model.encode(message as never).finish();
}

/** @throws ModelChoiceError */
function checkOutput(outputs: readonly { readonly name?: string }[], output: string): void {
  if (outputs.some(({ name }) => name === output)) return;
  const names = outputs.map(({ name }) => `"${name}"`).join(', ') || 'none';
  throw new ModelChoiceError(
    `--output ${output}: the file has no such output; ${outputs.length === 1 ? 'its only one is' : 'its outputs are'} ${names}`,
  );
}

/** Where the values of a tensor are. @throws OnnxFileError for other bytes than its shape has */
function partOf(tensor: RawTensor): {
  readonly location: string;
  readonly offset: number;
  readonly length: number;
} {
  const name = tensor.name ?? '';
  const entries = new Map((tensor.externalData ?? []).map(({ key = '', value = '' }) => [key, value]));
  const location = entries.get('location');
  if (location === undefined)
    throw new OnnxFileError(`its tensor "${name}" does not say in which file its values are`);
  const expected = byteLengthOf({ ...tensor, dims: (tensor.dims ?? []).map(Number) }, name);
  const offset = Number(entries.get('offset') ?? 0);
  const length = Number(entries.get('length') ?? expected);
  if (!Number.isSafeInteger(offset) || offset < 0 || length !== expected) {
    throw new OnnxFileError(
      `its tensor "${name}" claims ${length} bytes at ${offset} of "${location}"; its shape has ${expected}`,
    );
  }
  return { location, offset, length };
}
