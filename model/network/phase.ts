import { isDeepStrictEqual } from 'node:util';
import type { Margins, TileGeometry } from './tile-geometry.js';

/**
 * A geometry whose tiles begin at multiples of strides, counted from the image's own corner, as one pass over the image
 * alone does. Poolings and strided convolutions have another result on each px otherwise: not a wrong one, but not that
 * of the program which the network comes from. Halos become one multiple for all sides, so that results can be averaged
 * over symmetries.
 *
 * It concerns the axes that a network pads, along which it returns as many px as it reads. Along others, it reads an image
 * that is mirrored by its halo, which is where one pass begins.
 */
export function inPhase(geometry: TileGeometry): TileGeometry {
  const { halo, padded, multiple } = geometry;
  const axes = [
    ['top', 'bottom'],
    ['left', 'right'],
  ] as const;
  const ends = axes.filter((axis) => axis.every((end) => halo[end] === padded[end])).flat();
  const side = multiple * Math.ceil(Math.max(0, ...ends.map((end) => halo[end])) / multiple);
  const widened = Object.fromEntries(ends.map((end) => [end, side]));
  const own: Margins = { ...halo, ...widened };
  let { smallest } = geometry;
  while (smallest - Math.max(own.top + own.bottom, own.left + own.right) < multiple) smallest += multiple;
  return { ...geometry, halo: own, padded: { ...padded, ...widened }, smallest };
}

/** The derived geometry where a card states its halo, as those of our own networks do; else the one in phase. */
export const phasedAs = (derived: TileGeometry, stated: Margins | undefined): TileGeometry =>
  isDeepStrictEqual(derived.halo, stated) ? derived : inPhase(derived);
