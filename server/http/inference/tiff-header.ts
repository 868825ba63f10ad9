import {
  BIG_TIFF_HEADER_BYTES,
  bigTiffDirectory,
  bigTiffHeader,
  LONG,
  SHORT,
  type Tag,
} from '../../../tiling/tiff/big-tiff.js';
import { COMPRESSION, PHOTOMETRIC, SAMPLE_FORMAT, TAG } from '../../../tiling/tiff/tags.js';
import { DATATYPES } from '../../contract/schemas/inference.js';
import type { ImageTensor } from './tensor.js';

/** Length of a strip: what is read at a time. */
const STRIP_BYTES = 1 << 18;

/**
 * The beginning of an uncompressed BigTIFF whose pixels are the bytes of a tensor: these follow as they arrive, and the
 * worker reads the image as any other. Nothing is decoded here.
 */
export function tiffHeader(tensor: ImageTensor): Buffer {
  const { width, height, channels, datatype } = tensor;
  const rowBytes = width * channels * DATATYPES[datatype];
  const rows = Math.min(height, Math.max(1, Math.floor(STRIP_BYTES / rowBytes)));
  const strips = Math.ceil(height / rows);
  const lengths = Array.from({ length: strips }, (_, i) => Math.min(rows, height - i * rows) * rowBytes);
  const long = (id: number, ...values: number[]): Tag => ({ id, type: LONG, values });
  const short = (id: number, ...values: number[]): Tag => ({ id, type: SHORT, values });
  const each = (value: number) => Array<number>(channels).fill(value);
  const directory = (offsets: readonly number[]): Buffer =>
    bigTiffDirectory(
      [
        long(TAG.width, width),
        long(TAG.height, height),
        short(TAG.bits, ...each(8 * DATATYPES[datatype])),
        short(TAG.compression, COMPRESSION.none),
        short(TAG.photometric, PHOTOMETRIC[channels === 3 ? 'rgb' : 'blackIsZero']),
        { id: TAG.stripOffsets, type: LONG, values: offsets },
        short(TAG.samples, channels),
        long(TAG.rowsPerStrip, rows),
        { id: TAG.stripByteCounts, type: LONG, values: lengths },
        short(TAG.sampleFormat, ...each(SAMPLE_FORMAT[datatype === 'FP32' ? 'float' : 'unsigned'])),
      ],
      BIG_TIFF_HEADER_BYTES,
    );
  let offset = BIG_TIFF_HEADER_BYTES + directory(lengths).length;
  const offsets = lengths.map((bytes) => (offset += bytes) - bytes);
  return Buffer.concat([bigTiffHeader(BIG_TIFF_HEADER_BYTES), directory(offsets)]);
}
