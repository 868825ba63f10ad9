import { CorruptImageError } from '../../errors.js';
import type { Size } from '../../geometry.js';
import { COMPRESSION, PHOTOMETRIC, TAG } from '../../tiff/tags.js';
import { checkChannels } from '../choice.js';
import type { OpenOptions } from '../options.js';
import { chunkSizeOf } from './chunk-table.js';
import type { Directory } from './directory.js';
import { needsLibvips, unsupported } from './refusals.js';
import type { StoredValues } from './values.js';

const FORMATS = ['uint', 'int', 'float'] as const;
const FORMAT_NAMES = { uint: 'unsigned integers', int: 'signed integers', float: 'floating-point values' };
const KNOWN_BITS = { uint: [1, 2, 4, 8, 16, 32], int: [8, 16, 32], float: [32, 64] };

const { none, lzw, deflate, oldDeflate, packBits, jpeg, aperioYcbcr, aperioRgb, jpeg2000 } = COMPRESSION;
/** Compressions of bytes, whatever they mean. */
const LOSSLESS: ReadonlySet<number> = new Set([none, lzw, deflate, oldDeflate, packBits]);
/** Compressions of 8-bit pictures. */
const PICTURES: ReadonlySet<number> = new Set([jpeg, aperioYcbcr, aperioRgb, jpeg2000]);
/** CCITT fax, of three kinds. */
const FAX: ReadonlySet<number> = new Set([2, 3, 4]);
/** Compressions that the predictor tag applies to. */
const PREDICTED: ReadonlySet<number> = new Set([lzw, deflate, oldDeflate]);

/**
 * Reads how values are stored, and checks that this reader decodes them.
 *
 * @throws UnsupportedImageError for what is not decoded, with a remedy
 * @throws NeedsLibvips for what libvips decodes
 */
export async function readStoredValues(
  page: Directory,
  size: Size,
  options: OpenOptions,
): Promise<StoredValues> {
  const samples = await page.positive(TAG.samples, 'samples per pixel', 1);
  const bits = await commonValue(page, TAG.bits, 'depths');
  checkChannels(samples);
  const sampleFormat = await commonValue(page, TAG.sampleFormat, 'sample formats');
  const format = FORMATS[sampleFormat - 1];
  if (!page.has(TAG.photometric)) {
    throw new CorruptImageError('the TIFF has no photometric tag, which states whether 0 is black or white');
  }
  const photometric = await page.number(TAG.photometric, PHOTOMETRIC.blackIsZero);
  const compression = await page.number(TAG.compression, none);
  const isFax = FAX.has(compression);
  const isLossless = LOSSLESS.has(compression);
  const isPicture = PICTURES.has(compression);

  const forLibvips = async () =>
    needsLibvips(size, await chunkSizeOf(page, size), { samples, bits, isPlanar: false }, options);
  if (isFax) {
    if (bits !== 1 || format !== 'uint') throw unsupported('CCITT compression of more than 1 bit');
    throw await forLibvips();
  }
  if (!isPicture && !isLossless) {
    const remedy = 'store none, LZW, deflate, PackBits, JPEG or JPEG 2000';
    throw unsupported(`compression ${compression}`, remedy);
  }
  if (photometric === PHOTOMETRIC.ycbcr && isLossless) throw await forLibvips();
  if (format === undefined || !KNOWN_BITS[format].includes(bits)) {
    const kind = format ? FORMAT_NAMES[format] : `values of sample format ${sampleFormat}`;
    throw unsupported(`${kind} of ${bits} bits`, 'store 8 or 16 bits per value');
  }
  if (isPicture && bits !== 8) throw unsupported('JPEG of more than 8 bits');
  const configuration = await page.number(TAG.planar, 1);
  if (configuration !== 1 && configuration !== 2) throw unsupported(`planar configuration ${configuration}`);
  const isPlanar = samples > 1 && configuration === 2;
  if (isPlanar && !isLossless) throw unsupported('JPEG in separate planes');
  if ((await page.number(TAG.fillOrder, 1)) !== 1 && bits < 8) throw await forLibvips();
  const predictor = await page.number(TAG.predictor, 1);
  if (!isValidPredictor(predictor, bits, format)) {
    throw unsupported(`predictor ${predictor} on ${bits}-bit values`);
  }
  return {
    samples,
    bits,
    format,
    compression,
    predictor: PREDICTED.has(compression) ? predictor : 1,
    photometric,
    isPlanar,
  };
}

/** Reads a tag with one value per sample, which must all be alike. Default 1. */
async function commonValue(page: Directory, tag: number, what: string): Promise<number> {
  const [first = 1, ...others] = Array.from(await page.numbers(tag));
  if (others.some((other) => other !== first)) throw unsupported(`channels of different ${what}`);
  return first;
}

function isValidPredictor(predictor: number, bits: number, format: StoredValues['format']): boolean {
  return predictor === 1 || (predictor === 2 && bits >= 8) || (predictor === 3 && format === 'float');
}
