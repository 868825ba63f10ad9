import { isDeepStrictEqual } from 'node:util';
import type { Margins, TileGeometry } from './tile-geometry.js';

/**
 * A geometry whose tiles begin at multiples of strides, counted from the image's own corner, as one pass over the image
 * alone does. Poolings and strided convolutions have another result on each px otherwise: not a wrong one, but not that
 * of the program which the network comes from. It takes up to a multiple of px more of a halo, above and to the left; a
 * halo that is the same at both ends stays so, for symmetries.
 *
 * It concerns networks that pad, and return as many px as they read. Those that return fewer read an image that is
 * mirrored by their halo, which is where one pass begins.
 */
export function inPhase(geometry: TileGeometry): TileGeometry {
  const { halo, padded, multiple } = geometry;
  const more = { top: 0, left: 0, bottom: 0, right: 0 };
  for (const [first, last] of [
    ['top', 'bottom'],
    ['left', 'right'],
  ] as const) {
    if (halo[first] !== padded[first] || halo[last] !== padded[last]) continue;
    more[first] = (multiple - (halo[first] % multiple)) % multiple;
    if (halo[first] === halo[last]) more[last] = more[first];
  }
  if (Object.values(more).every((px) => px === 0)) return geometry;
  const own = sum(halo, more);
  let { smallest } = geometry;
  while (smallest - Math.max(own.top + own.bottom, own.left + own.right) < multiple) smallest += multiple;
  return { ...geometry, halo: own, padded: sum(padded, more), smallest };
}

const sum = (a: Margins, b: Margins): Margins => ({
  top: a.top + b.top,
  left: a.left + b.left,
  bottom: a.bottom + b.bottom,
  right: a.right + b.right,
});

/** The derived geometry where a card states its halo, as those of our own networks do; else the one in phase. */
export const phasedAs = (derived: TileGeometry, stated: Margins | undefined): TileGeometry =>
  isDeepStrictEqual(derived.halo, stated) ? derived : inPhase(derived);
