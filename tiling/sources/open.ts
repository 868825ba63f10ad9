import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UnreachableFileError, UnsupportedImageError } from '../errors.js';
import { checkStackPixels, isStack, planesOf } from '../planes.js';
import { type ImageSource, withMembers } from '../source.js';
import { checkBoxes } from './avif-boxes.js';
import { openBitmap } from './bitmap.js';
import { httpBytes } from './http-bytes.js';
import { openOpenSlide, slideVendor } from './openslide.js';
import { checkHost, type OpenOptions } from './options.js';
import { openPlaneFolder } from './plane-folder.js';
import { NeedsLibvips } from './tiff/refusals.js';
import { openTiff, openTiffBytes } from './tiff/tiff.js';
import { selectChannels, viewOf } from './views.js';
import { isZarr, openZarrFolder, openZarrUrl } from './zarr/zarr.js';

const latin1 = (bytes: Buffer, from: number, to: number): string => bytes.toString('latin1', from, to);

/** @param bytes the whole file, where it was read already */
type Opens = (path: string, options: OpenOptions, bytes: Buffer | null) => Promise<ImageSource>;

/** Files up to this size are read in one call: libvips would open them nine times, and read 4 KiB at a time. */
const AT_ONCE_BYTES = 1 << 20;
const HEAD_BYTES = 16;

/** Opens a format that always reads all channels; those that are selected are picked from them. */
const pickingChannels =
  (opens: Opens): Opens =>
  async (path, options, bytes) => {
    const source = await opens(path, options, bytes);
    try {
      return selectChannels(source, options);
    } catch (error) {
      await source.close();
      throw error;
    }
  };

const openPicture = pickingChannels(openBitmap);

const openAvif: Opens = async (path, options, bytes) => {
  await checkBoxes(path);
  return openPicture(path, options, bytes);
};

/** Formats are recognised by their first bytes, never by the file's name. */
const KINDS: readonly [name: string, matches: (head: Buffer) => boolean, opens: Opens][] = [
  ['TIFF', (h) => ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].includes(latin1(h, 0, 4)), openTiff],
  ['PNG', (h) => latin1(h, 1, 8) === 'PNG\r\n\x1a\n', openPicture],
  ['JPEG', (h) => latin1(h, 0, 3) === '\xff\xd8\xff', openPicture],
  ['WebP', (h) => latin1(h, 0, 4) === 'RIFF' && latin1(h, 8, 12) === 'WEBP', openPicture],
  ['GIF', (h) => /^GIF8[79]a/.test(latin1(h, 0, 6)), openPicture],
  ['AVIF', (h) => latin1(h, 4, 12) === 'ftypavif', openAvif],
];

/**
 * Opens an image: a file, the folder of an OME-Zarr, the URL of either, or a folder of numbered planes. The options
 * choose its page, level, channels and planes.
 *
 * @throws UnsupportedImageError for bytes of an unknown kind
 * @throws CorruptImageError for a header that cannot be right
 * @throws ImageTooLargeError for more than `maxPixels`, those of all chosen planes of a stack together
 */
export async function openImage(path: string, options: OpenOptions): Promise<ImageSource> {
  const source = await openStored(path, options);
  try {
    const view = viewOf(source, options);
    if (isStack(options)) {
      checkStackPixels(view.size, planesOf(options, view.facts.stack).planes.length, options.maxPixels);
    }
    const { openPlane } = source;
    return openPlane
      ? withMembers(view, { openPlane: (plane) => viewOfPlane(openPlane(plane), options) })
      : view;
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function viewOfPlane(opening: Promise<ImageSource>, options: OpenOptions): Promise<ImageSource> {
  const plane = await opening;
  try {
    return viewOf(plane, options);
  } catch (error) {
    await plane.close();
    throw error;
  }
}

async function openStored(path: string, options: OpenOptions): Promise<ImageSource> {
  if (/^https?:\/\//.test(path)) {
    checkHost(path, options);
    return /\.zarr\/?$/.test(new URL(path).pathname) ? openZarrUrl(path, options) : openRemote(path, options);
  }
  const found = await stat(path).catch(unreachable(path));
  if (!found.isDirectory() && !found.isFile()) {
    throw new UnsupportedImageError(
      'this is neither a file nor a folder: devices and pipes are not supported',
    );
  }
  if (found.isDirectory()) {
    if (await isZarr(path)) return openZarrFolder(path, options);
    if (options.z !== undefined || options.t !== undefined) return openPlaneFolder(path, options, openStored);
    throw new UnsupportedImageError(
      'this folder is not an image: the only folders that can be read are OME-Zarr, and stacks of numbered planes, ' +
        'which are chosen with z (--z), such as all',
    );
  }
  const file = await open(path).catch(unreachable(path));
  const isSmall = found.size <= AT_ONCE_BYTES && !options.headerOnly;
  const head = Buffer.alloc(isSmall ? Math.max(found.size, HEAD_BYTES) : HEAD_BYTES);
  const { bytesRead } = await file.read(head, 0, head.length, 0).finally(() => file.close());
  if (bytesRead === 0) throw new UnsupportedImageError('the image is empty: 0 bytes');
  const bytes = isSmall && bytesRead === found.size ? head.subarray(0, bytesRead) : null;
  const kind = KINDS.find(([, matches]) => matches(head));
  // A MIRAX slide begins with a small JPEG; its pixels are in the folder beside it.
  const isMirax =
    kind?.[0] === 'JPEG' &&
    !options.singleFile &&
    (await stat(join(path.replace(/\.mrxs$/, ''), 'Slidat.ini')).catch(() => null));
  if (isMirax) return openOpenSlide(path, options, 'a MIRAX slide');
  if (kind) return kind[2](path, options, bytes);
  const vendor = await slideVendor(path);
  if (vendor) return openOpenSlide(path, options, `a slide of ${vendor}`);
  const known = KINDS.map(([name]) => name).join(', ');
  throw new UnsupportedImageError(
    `these bytes are not a supported image (${known}, folders of OME-Zarr, and what OpenSlide reads where it is installed)`,
  );
}

/** Temporary failures of the disk or this process, which say nothing about the file. */
const TRANSIENT = new Set(['EIO', 'ESTALE', 'EMFILE', 'ENFILE']);

const unreachable =
  (path: string) =>
  (error: NodeJS.ErrnoException): never => {
    throw TRANSIENT.has(error.code ?? '') ? error : new UnreachableFileError(path, error);
  };

async function openRemote(address: string, options: OpenOptions): Promise<ImageSource> {
  const bytes = await httpBytes(address, options.signal);
  return openTiffBytes(bytes, options).catch((error: unknown) => {
    if (!(error instanceof NeedsLibvips)) throw error;
    throw new UnsupportedImageError('this kind of TIFF is not read by URL: upload it');
  });
}
