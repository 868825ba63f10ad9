import { isDeepStrictEqual } from 'node:util';
import type { Margins, TileGeometry } from './tile-geometry.js';

/**
 * A geometry whose tiles begin at multiples of strides, counted from where one pass over the image begins: at its corner,
 * or above and to the left of it by what the network cuts, which is mirrored. Poolings and strided convolutions have another
 * result on each px otherwise: not a wrong one, but not that of the program which the network comes from. What a network
 * pads, and is cropped, becomes one multiple for all sides, so that results can be averaged over symmetries; axes without
 * padding are in phase as they are.
 */
export function inPhase(geometry: TileGeometry): TileGeometry {
  const { halo, padded, multiple } = geometry;
  const axes = [
    ['top', 'bottom'],
    ['left', 'right'],
  ] as const;
  const ends = axes.filter((axis) => axis.some((end) => padded[end] > 0)).flat();
  const side = multiple * Math.ceil(Math.max(0, ...ends.map((end) => padded[end])) / multiple);
  const widened = (margins: Margins): Margins => ({
    ...margins,
    ...Object.fromEntries(ends.map((end) => [end, margins[end] - padded[end] + side])),
  });
  const own = widened(halo);
  let { smallest } = geometry;
  while (smallest - Math.max(own.top + own.bottom, own.left + own.right) < multiple) smallest += multiple;
  return { ...geometry, halo: own, padded: widened(padded), smallest };
}

/** The derived geometry where a card states its halo, as those of our own networks do; else the one in phase. */
export const phasedAs = (derived: TileGeometry, stated: Margins | undefined): TileGeometry =>
  isDeepStrictEqual(derived.halo, stated) ? derived : inPhase(derived);
