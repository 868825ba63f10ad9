import { DATATYPES } from '../../contract/schemas/inference.js';
import type { ImageTensor } from './tensor.js';

/** Length of a strip: what is read at a time. */
const STRIP_BYTES = 1 << 18;

/** Types of a TIFF's entries, by their numbers, and bytes of a value. */
const SHORT = { type: 3, bytes: 2 } as const;
const LONG = { type: 4, bytes: 4 } as const;

interface Entry {
  readonly tag: number;
  readonly of: typeof SHORT | typeof LONG;
  readonly values: readonly number[];
}

/**
 * The beginning of an uncompressed TIFF (revision 6.0) whose pixels are the bytes of a tensor: these follow as they
 * arrive, and the worker reads the image as any other. Nothing is decoded here.
 */
export function tiffHeader(tensor: ImageTensor): Buffer {
  const { width, height, channels, datatype } = tensor;
  const rowBytes = width * channels * DATATYPES[datatype];
  const rows = Math.min(height, Math.max(1, Math.floor(STRIP_BYTES / rowBytes)));
  const strips = Math.ceil(height / rows);
  const lengths = Array.from({ length: strips }, (_, i) => Math.min(rows, height - i * rows) * rowBytes);
  const each = (value: number) => Array<number>(channels).fill(value);
  const entries = (offsets: readonly number[]): Entry[] => [
    { tag: 256, of: LONG, values: [width] },
    { tag: 257, of: LONG, values: [height] },
    { tag: 258, of: SHORT, values: each(8 * DATATYPES[datatype]) }, // BitsPerSample
    { tag: 259, of: SHORT, values: [1] }, // not compressed
    { tag: 262, of: SHORT, values: [channels === 1 ? 1 : 2] }, // black is zero, or RGB
    { tag: 273, of: LONG, values: offsets },
    { tag: 277, of: SHORT, values: [channels] },
    { tag: 278, of: LONG, values: [rows] },
    { tag: 279, of: LONG, values: lengths },
    { tag: 339, of: SHORT, values: each(datatype === 'FP32' ? 3 : 1) }, // SampleFormat: floats, or unsigned integers
  ];
  const { length } = directory(entries(lengths));
  let offset = length;
  return directory(entries(lengths.map((bytes) => (offset += bytes) - bytes)));
}

/** A TIFF's signature and its one directory, with the values that do not fit into entries behind it. */
function directory(entries: readonly Entry[]): Buffer {
  const start = 8;
  const head = Buffer.alloc(start + 2 + 12 * entries.length + 4);
  head.write('II', 0, 'latin1');
  head.writeUInt16LE(42, 2);
  head.writeUInt32LE(start, 4);
  head.writeUInt16LE(entries.length, start);
  const behind: Buffer[] = [];
  let offset = head.length;
  for (const [i, { tag, of, values }] of entries.entries()) {
    const at = start + 2 + 12 * i;
    head.writeUInt16LE(tag, at);
    head.writeUInt16LE(of.type, at + 2);
    head.writeUInt32LE(values.length, at + 4);
    const bytes = Buffer.alloc(of.bytes * values.length);
    for (const [j, value] of values.entries()) bytes.writeUIntLE(value, j * of.bytes, of.bytes);
    if (bytes.length <= 4) head.set(bytes, at + 8);
    else {
      head.writeUInt32LE(offset, at + 8);
      behind.push(bytes);
      offset += bytes.length;
    }
  }
  return Buffer.concat([head, ...behind]);
}
