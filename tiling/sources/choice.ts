import { UnsupportedImageError } from '../errors.js';
import { checkPlanes } from '../planes.js';
import type { ImageChoice } from './options.js';

/** How many channels an image may have: those of hyperspectral cameras have hundreds. */
export const MAX_CHANNELS = 4096;

/** @throws UnsupportedImageError for a channel that an image with `channels` channels does not have */
export function checkChannel(channel: number, channels: number): void {
  if (channel < channels) return;
  throw new UnsupportedImageError(`there is no channel ${channel}: the image has ${channels}, from 0`);
}

/** @throws UnsupportedImageError for more channels than are supported */
export function checkChannels(channels: number): void {
  if (channels <= MAX_CHANNELS) return;
  throw new UnsupportedImageError(
    `the image claims ${channels} channels; at most ${MAX_CHANNELS} are supported`,
  );
}

/**
 * @param what the error calls the image, such as "the TIFF"
 * @throws UnsupportedImageError for a page, plane or time that the image does not have
 */
export function checkPlace(
  choice: ImageChoice,
  has: { readonly pages?: number; readonly sizeZ?: number; readonly sizeT?: number },
  what = 'the image',
): void {
  const { pages = 1, sizeZ = 1, sizeT = 1 } = has;
  const { page = 0 } = choice;
  if (page >= pages) {
    throw new UnsupportedImageError(`there is no page ${page}: ${what} has ${pages}, from 0`);
  }
  checkPlanes(choice, { sizeZ, sizeT }, what);
}

/** Notes for the receipt about planes and time points that were not chosen, so that the first is read. */
export function stackNotes({ z, t }: ImageChoice, sizeZ: number, sizeT: number): string[] {
  const notes: string[] = [];
  if (sizeZ > 1 && z === undefined) notes.push(`the image has ${sizeZ} planes in depth; the first is read`);
  if (sizeT > 1 && t === undefined) notes.push(`the image has ${sizeT} time points; the first is read`);
  return notes;
}
