import type { EngineModel } from '../../model/engine.js';
import type { Size } from '../../tiling/geometry.js';
import { factsAtSize, resampleLinear } from '../../tiling/resample.js';
import type { ImageFacts, ImageSource } from '../../tiling/source.js';
import { RequestError } from '../contract/errors.js';
import type { ImageHeader } from '../contract/image-header.js';

/** An image in the pixel size that a model learned from. */
export interface ModelScale {
  /** In px of that size. */
  readonly size: Size;
  readonly facts: ImageFacts;
  /** The smallest level of the image that is no coarser: it is read from there. 0 is the image itself. */
  readonly level: number;
}

/** The largest factor by which an image is scaled, up or down: beyond, its pixel size is taken for a mistake. */
const MAX_SCALE = 64;
/** A level may be narrower by so much and still count as no coarser: sizes of levels are rounded. */
const ROUNDED = 1.01;

/** @throws RequestError where either pixel size is unknown, or they are too far apart to be true */
export function modelScale(image: ImageHeader, { card }: Pick<EngineModel, 'card'>): ModelScale {
  const { mpp } = image.facts;
  if (card.micronsPerPixel === null) {
    throw new RequestError('bad-request', `model ${card.name} does not say from which pixel size it learned`);
  }
  if (mpp === null) {
    throw new RequestError(
      'bad-request',
      'the image does not say its pixel size: give it as "mpp", such as auto,0.25',
    );
  }
  const ratio = { x: card.micronsPerPixel / mpp.x, y: card.micronsPerPixel / mpp.y };
  if (Math.max(ratio.x, 1 / ratio.x, ratio.y, 1 / ratio.y) > MAX_SCALE) {
    throw new RequestError(
      'bad-request',
      `the image says ${formatMicrons(mpp.x)} µm a pixel, and the model learned from ${card.micronsPerPixel}: ` +
        'give the true pixel size as "mpp", such as auto,0.25',
    );
  }
  const size = {
    width: Math.max(1, Math.round(image.size.width / ratio.x)),
    height: Math.max(1, Math.round(image.size.height / ratio.y)),
  };
  const level = image.overviews.findLastIndex((reader) => reader.size.width * ROUNDED >= size.width) + 1;
  return { size, facts: factsAtSize(image, size), level };
}

/** An open image in a model's pixel size; closing it closes the image. */
export function atModelScale(image: ImageSource, { size, level }: ModelScale): ImageSource {
  return resampleLinear(image, [image, ...image.overviews][level]!, size);
}

/** Micrometres with three significant digits, for people. */
export const formatMicrons = (microns: number): string => String(Number(microns.toPrecision(3)));
