import { MAX_INPUT_CHANNELS } from '../../../model/network/normalisation.js';
import { ImageTooLargeError } from '../../../tiling/errors.js';
import { RequestError } from '../../contract/errors.js';
import { DATATYPES, type Datatype, type InferInput } from '../../contract/schemas/inference.js';

/** An image as a tensor: rows from the top, channels interleaved. */
export interface ImageTensor {
  readonly width: number;
  readonly height: number;
  /** From 1 to 64. */
  readonly channels: number;
  readonly datatype: Datatype;
  /** Size of all values together. */
  readonly bytes: number;
}

/** Offsets of strips have 32 bits; the directory before them takes the rest. */
const MAX_BYTES = 2 ** 32 - 2 ** 24;

/**
 * Checks an input before any of its values is received.
 * @param maxPixels limit of the image, in px
 * @throws RequestError `bad-request`, `too-large`; ImageTooLargeError
 */
export function tensorOf({ shape, datatype }: InferInput, maxPixels: number): ImageTensor {
  const [images, height, width, channels] = shape as [number, number, number, number];
  if (images !== 1)
    throw new RequestError('bad-request', `the shape has ${images} images: send one with each request`);
  if (channels < 1 || channels > MAX_INPUT_CHANNELS)
    throw new RequestError(
      'bad-request',
      `the shape has ${channels} channels: expected 1 for gray, 3 for RGB, or those of the model, up to ${MAX_INPUT_CHANNELS}`,
    );
  if (width * height > maxPixels) throw new ImageTooLargeError(width, height, maxPixels);
  const bytes = width * height * channels * DATATYPES[datatype];
  if (bytes > MAX_BYTES)
    throw new RequestError('too-large', `the tensor has ${bytes} bytes; the limit is ${MAX_BYTES}`);
  return { width, height, channels, datatype, bytes };
}

const EXPECTED = {
  UINT8: 'an integer from 0 to 255',
  UINT16: 'an integer from 0 to 65535',
  FP32: 'a number',
} as const;
const MAXIMA = { UINT8: 255, UINT16: 65_535 } as const;

/** Dimensions of a shape, and so the maximum depth of nested values. */
const DIMENSIONS = 4;

/**
 * The values of a tensor in JSON, as the bytes of a binary one.
 * @param data flat, or nested as its shape is
 * @throws RequestError `bad-request`, naming the value
 */
export function bytesOfValues(data: readonly unknown[], { datatype, bytes }: ImageTensor): Buffer {
  // A shape may announce far more than the JSON has: memory is taken once their number is known.
  const count = countOf(data, DIMENSIONS);
  const total = bytes / DATATYPES[datatype];
  if (count !== total)
    throw new RequestError('bad-request', `the data has ${count} values; its shape has ${total}`);
  const buffer = Buffer.allocUnsafe(bytes);
  let index = 0;
  const append = (value: unknown): void => {
    if (Array.isArray(value)) for (const each of value) append(each);
    else write(buffer, index++, value, datatype);
  };
  append(data);
  return buffer;
}

/** @param depth maximum depth of the lists: a text may nest millions, which would overflow the stack */
function countOf(data: readonly unknown[], depth: number): number {
  if (depth === 0)
    throw new RequestError(
      'bad-request',
      `the data is nested deeper than its shape: ${DIMENSIONS} lists at most`,
    );
  return data.reduce<number>((sum, each) => sum + (Array.isArray(each) ? countOf(each, depth - 1) : 1), 0);
}

function write(buffer: Buffer, index: number, value: unknown, datatype: Datatype): void {
  const isRight =
    typeof value === 'number' &&
    (datatype === 'FP32' || (Number.isInteger(value) && value >= 0 && value <= MAXIMA[datatype]));
  if (!isRight) {
    const shown =
      typeof value === 'object' && value !== null ? 'an object' : JSON.stringify(value).slice(0, 50);
    throw new RequestError(
      'bad-request',
      `the data has ${shown} at ${index}: expected ${EXPECTED[datatype]}`,
    );
  }
  if (datatype === 'UINT8') buffer[index] = value;
  else if (datatype === 'UINT16') buffer.writeUInt16LE(value, 2 * index);
  else buffer.writeFloatLE(value, 4 * index);
}
