import type { EngineModel } from '../../model/engine/engine.js';
import type { Size } from '../../tiling/geometry.js';
import { factsAtSize, resampleLinear } from '../../tiling/resample.js';
import type { ImageFacts, ImageSource } from '../../tiling/source.js';
import { RequestError } from '../contract/errors.js';
import type { ImageHeader } from '../contract/image-header.js';

/** An image in the pixel size of a model's training images. */
export interface ModelScale {
  /** In px of that size. */
  readonly size: Size;
  readonly facts: ImageFacts;
  /** The smallest level of the image that is no coarser: it is read from there. 0 is the image itself. */
  readonly level: number;
}

/** The largest factor by which an image is scaled, up or down: beyond, its pixel size is taken for a mistake. */
const MAX_SCALE = 64;
/** A level that is narrower by this factor still counts as no coarser: sizes of levels are rounded. */
const ROUNDING = 1.01;

/** @throws RequestError where either pixel size is unknown, or they are too far apart to be true */
export function modelScale(image: ImageHeader, { card }: Pick<EngineModel, 'card'>): ModelScale {
  const { mpp } = image.facts;
  if (card.micronsPerPixel === null) {
    throw new RequestError('bad-request', `the card of model ${card.name} states no pixel size`);
  }
  if (mpp === null) {
    throw new RequestError(
      'bad-request',
      'the image states no pixel size: set mpp (--mpp), such as auto,0.25',
    );
  }
  const ratio = { x: card.micronsPerPixel / mpp.x, y: card.micronsPerPixel / mpp.y };
  if (Math.max(ratio.x, 1 / ratio.x, ratio.y, 1 / ratio.y) > MAX_SCALE) {
    throw new RequestError(
      'bad-request',
      `the image states ${formatMicrons(mpp.x)} µm per pixel, and the model was trained at ${card.micronsPerPixel}: ` +
        'set mpp (--mpp) to the true pixel size, such as auto,0.25',
    );
  }
  const size = {
    width: Math.max(1, Math.round(image.size.width / ratio.x)),
    height: Math.max(1, Math.round(image.size.height / ratio.y)),
  };
  const level = image.overviews.findLastIndex((reader) => reader.size.width * ROUNDING >= size.width) + 1;
  return { size, facts: factsAtSize(image, size), level };
}

/** An open image in a model's pixel size; closing it closes the image. */
export function atModelScale(image: ImageSource, { size, level }: ModelScale): ImageSource {
  return resampleLinear(image, [image, ...image.overviews][level]!, size);
}

/** Micrometres with three significant digits, for people. */
export const formatMicrons = (microns: number): string => String(Number(microns.toPrecision(3)));
