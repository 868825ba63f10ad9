import type { Size } from '../../geometry.js';
import type { Dtype } from '../../raster.js';
import { PHOTOMETRIC, TAG } from '../../tiff/tags.js';
import { checkPixels, type OpenOptions } from '../options.js';
import { type Channels, readChannels } from './channels.js';
import { type ChunkTable, readChunkTable } from './chunk-table.js';
import type { Directory } from './directory.js';
import type { JpegColour } from './jpeg-tile.js';
import { readStoredValues } from './read-values.js';
import type { StoredValues } from './values.js';

/** The longest tables that JPEG tiles share. */
const MAX_TABLE_BYTES = 1 << 16;

/** Everything that is needed to read pixels of a TIFF's image, checked to be of a kind that is read here. */
export interface Layout extends StoredValues, Channels, ChunkTable {
  readonly size: Size;
  readonly dtype: Dtype;
  readonly bigEndian: boolean;
  readonly jpegColour: JpegColour;
  readonly jpegTables: Uint8Array | null;
}

/**
 * Reads the layout of a TIFF's image: how values are stored, what they mean, and where they are.
 *
 * @throws UnsupportedImageError for a kind that is not read, with a remedy
 * @throws ImageTooLargeError, CorruptImageError by `checkPixels`
 * @throws NeedsLibvips for a kind that libvips reads
 */
export async function layoutOf(page: Directory, options: OpenOptions): Promise<Layout> {
  const size = {
    width: await page.positive(TAG.width, 'width'),
    height: await page.positive(TAG.height, 'height'),
  };
  checkPixels(size, options);
  const values = await readStoredValues(page, size, options);
  const channels = await readChannels(page, values, options);
  const table = await readChunkTable(page, size, values);
  const jpegTables = await page.numbers(TAG.jpegTables, MAX_TABLE_BYTES);
  return {
    ...values,
    ...channels,
    ...table,
    size,
    dtype: dtypeOf(values, channels),
    bigEndian: page.bigEndian,
    jpegColour: jpegColourOf(values, channels),
    jpegTables: jpegTables.length > 0 ? Uint8Array.from(jpegTables) : null,
  };
}

function dtypeOf({ format, bits }: StoredValues, { palette }: Channels): Dtype {
  if (palette || (format === 'uint' && bits <= 8)) return 'uint8';
  return format === 'uint' && bits === 16 ? 'uint16' : 'float32';
}

function jpegColourOf({ photometric }: StoredValues, { isColour }: Channels): JpegColour {
  if (photometric === PHOTOMETRIC.ycbcr) return 'ycbcr';
  return isColour ? 'rgb' : 'gray';
}
