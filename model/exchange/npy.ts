import { PackageError } from '../errors.js';

/** An array as numpy's files store it, in C order. */
export interface NpyArray {
  readonly shape: readonly number[];
  readonly data: Float32Array | Uint8Array | Uint16Array;
}

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
/** The header's length is a multiple of this, so that the values are aligned. */
const ALIGNMENT = 64;
/** A test tensor is no image: more would be a mistake, or an attack. */
const MAX_VALUES = 2 ** 28;

type Read = (view: DataView, at: number) => number;

/** Types of numpy's files: bytes of a value, and how one is read. All are read as floats. */
const TYPES: ReadonlyMap<string, readonly [bytes: number, read: Read]> = new Map([
  ['|b1', [1, (view, at) => view.getUint8(at)]],
  ['|u1', [1, (view, at) => view.getUint8(at)]],
  ['|i1', [1, (view, at) => view.getInt8(at)]],
  ['<u2', [2, (view, at) => view.getUint16(at, true)]],
  ['<i2', [2, (view, at) => view.getInt16(at, true)]],
  ['<u4', [4, (view, at) => view.getUint32(at, true)]],
  ['<i4', [4, (view, at) => view.getInt32(at, true)]],
  ['<i8', [8, (view, at) => Number(view.getBigInt64(at, true))]],
  ['<u8', [8, (view, at) => Number(view.getBigUint64(at, true))]],
  ['<f4', [4, (view, at) => view.getFloat32(at, true)]],
  ['<f8', [8, (view, at) => view.getFloat64(at, true)]],
]);

/** Serialises an array as numpy's `.npy`, version 1.0. */
export function encodeNpy({ shape, data }: NpyArray): Buffer {
  const type = data instanceof Float32Array ? '<f4' : data instanceof Uint8Array ? '|u1' : '<u2';
  const sides = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${type}', 'fortran_order': False, 'shape': (${sides}), }`;
  const start = MAGIC.length + 4;
  const length = Math.ceil((start + text.length + 1) / ALIGNMENT) * ALIGNMENT - start;
  const header = Buffer.alloc(start + length, ' ');
  MAGIC.copy(header);
  header.set([1, 0], MAGIC.length);
  header.writeUInt16LE(length, MAGIC.length + 2);
  header.write(text, start, 'latin1');
  header[header.length - 1] = 0x0a;
  return Buffer.concat([header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

/**
 * Parses numpy's `.npy`, of any number type, as floats.
 * @param name of the file, for errors
 * @throws PackageError for what is none, or has more or fewer values than it states
 */
export function parseNpy(file: Uint8Array, name: string): { shape: number[]; data: Float32Array } {
  const fail = (reason: string): never => {
    throw new PackageError(`${name}: ${reason}`);
  };
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (bytes.length < 12 || !bytes.subarray(0, MAGIC.length).equals(MAGIC))
    fail('it is not a .npy file of NumPy');
  const isLong = bytes[MAGIC.length]! > 1;
  const start = MAGIC.length + (isLong ? 6 : 4);
  const length = isLong ? bytes.readUInt32LE(MAGIC.length + 2) : bytes.readUInt16LE(MAGIC.length + 2);
  const header = bytes.subarray(start, start + Math.min(length, 10_000)).toString('latin1');
  const [, type = ''] = /'descr': *'([^']*)'/.exec(header) ?? [];
  const [, order] = /'fortran_order': *(True|False)/.exec(header) ?? [];
  const [, sides] = /'shape': *\(([\d, L]*)\)/.exec(header) ?? [];
  const known = TYPES.get(type);
  if (!known) return fail(`its type ${type || 'is missing'}: only numbers of 8 to 64 bits are supported`);
  if (sides === undefined || order === undefined) return fail('its header is damaged');
  const shape = [...sides.matchAll(/\d+/g)].map(Number);
  const count = shape.reduce((product, side) => product * side, 1);
  if (count > MAX_VALUES) fail(`it states ${count} values; ${MAX_VALUES} are read at most`);
  const [size, read] = known;
  const values = bytes.subarray(start + length);
  if (values.length !== count * size)
    fail(`it has ${values.length} bytes of values, and states ${count * size}`);
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  const data = Float32Array.from({ length: count }, (_, i) => read(view, i * size));
  return { shape, data: order === 'True' ? toRowOrder(data, shape) : data };
}

/** Values whose first dimension changes fastest, as values whose last one does. */
function toRowOrder(data: Float32Array, shape: readonly number[]): Float32Array {
  const strides = shape.map((_, i) => shape.slice(0, i).reduce((product, side) => product * side, 1));
  return Float32Array.from(data, (_, index) => {
    let [rest, at] = [index, 0];
    for (let i = shape.length - 1; i >= 0; i--) {
      at += (rest % shape[i]!) * strides[i]!;
      rest = Math.floor(rest / shape[i]!);
    }
    return data[at]!;
  });
}
