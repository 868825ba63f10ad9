import { OnnxFileError } from '../errors.js';
import { floatsOf } from '../onnx/half/float16.js';
import { type Constant, sizeOf } from './constant.js';

/** A tensor as its message has it. */
export interface RawTensor {
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

/** The `dataLocation` of tensors whose values are in another file. */
export const IN_OTHER_FILE = 1;

/** More dimensions than any network has, so that a file cannot make much of little. */
const MAX_RANK = 8;

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

/**
 * The bytes that a tensor has by its shape.
 * @throws OnnxFileError for a shape that is not one, and for elements that are not supported
 */
export function byteLengthOf({ dims = [], dataType = 0 }: RawTensor, name: string): number {
  const element = ELEMENTS[dataType];
  if (!element)
    throw new OnnxFileError(`its tensor "${name}" has elements of type ${dataType}, which are not supported`);
  if (dims.length > MAX_RANK || !dims.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw new OnnxFileError(`its tensor "${name}" has the shape [${dims}]`);
  }
  return sizeOf(dims) * element.bytes;
}

/** The values of a tensor. @throws OnnxFileError where they are missing, or others than its shape says */
export function constantOf(tensor: RawTensor, name: string): Constant {
  const { dims = [], dataType = 0 } = tensor;
  const length = byteLengthOf(tensor, name);
  const element = ELEMENTS[dataType]!;
  const count = length / element.bytes;
  const bytes = bytesOf(tensor);
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
function bytesOf({ rawData, externalData = [], dataLocation }: RawTensor): Uint8Array | null {
  if (dataLocation !== IN_OTHER_FILE) return rawData?.length ? Uint8Array.from(rawData) : null;
  const location = externalData.find(({ key }) => key === 'location')?.value ?? '';
  throw new OnnxFileError(`its weights are in another file, "${location}": import the folder that has both`);
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
