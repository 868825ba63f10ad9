import { InexactModelError } from '../../errors.js';
import type { TileGeometry } from '../tile-geometry.js';
import { isSame, leastCommonMultiple, ONE } from './rational.js';
import { type AxisResult, type GeometryGraph, multipleOf, scalesOf, walkAxis } from './walk.js';

/** The multiple up to which sizes are sought, in px: tiles have a few hundred. */
const MAX_MULTIPLE = 1024;
/** The length of an image that is followed through a network at first, in px, and at last, which few networks need. */
const LENGTHS = { first: 1024, last: 1 << 15 } as const;

type Both = readonly [rows: AxisResult, columns: AxisResult];

/**
 * Derives the geometry of a network from its operators, along each axis: the sizes at which all of its joins fit, the
 * halo, and how far padding reaches.
 *
 * An image of each length modulo the multiple is followed through the network. Where several fit, one is chosen with which
 * the network returns as many px as it reads, or else that with the smallest halo: with others, some pooling leaves px
 * over.
 *
 * @throws InexactModelError naming the node that prevents exact tiling
 */
export function solveGeometry(graph: GeometryGraph): TileGeometry {
  const end = graph.nodes.at(-1)?.name ?? 'network';
  const scales = [scalesOf(graph, 0), scalesOf(graph, 1)] as const;
  if (!scales.every((along) => isSame(along.get(graph.output)!, ONE))) {
    throw new InexactModelError(end, 'its output is not at the scale of the image');
  }
  const multiple = scales.map(multipleOf).reduce(leastCommonMultiple);
  if (multiple > MAX_MULTIPLE) {
    throw new InexactModelError(end, `its tiles would have to be aligned to ${multiple} px`);
  }
  const walk = (length: number): Both | string => {
    const rows = walkAxis(graph, 0, length, scales[0]);
    const columns = typeof rows === 'string' ? rows : walkAxis(graph, 1, length, scales[1]);
    return typeof columns === 'string' ? columns : [rows as AxisResult, columns];
  };
  const { residue, both } = bestResidue(walk, multiple, end);
  const [rows, columns] = both;
  const most = Math.max(...both.map(({ before, after }) => before + after));
  for (let size = aligned(most + multiple, residue, multiple); ; size += multiple) {
    const found = walk(size);
    if (typeof found === 'string' || found.some(({ least }) => least < 1)) continue;
    return {
      halo: { top: rows.before, left: columns.before, bottom: rows.after, right: columns.after },
      padded: { top: rows.front, left: columns.front, bottom: rows.back, right: columns.back },
      multiple,
      smallest: size,
      tileable: true,
    };
  }
}

/** The smallest length from `least` on that leaves this residue. */
const aligned = (least: number, residue: number, multiple: number): number =>
  least + ((((residue - least) % multiple) + multiple) % multiple);

/** The residue of lengths with which the halo is smallest, and what the network makes of such an image. */
function bestResidue(
  walk: (length: number) => Both | string,
  multiple: number,
  end: string,
): { readonly residue: number; readonly both: Both } {
  let best: { readonly residue: number; readonly both: Both } | null = null;
  let misfit: string | null = null;
  for (let residue = 0; residue < multiple; residue++) {
    const both = walkLong(walk, residue, multiple);
    if (both === null) continue;
    if (typeof both === 'string') misfit ??= both;
    else if (best === null || isBetter(both, best.both)) best = { residue, both };
  }
  if (best !== null) return best;
  if (misfit !== null) throw new InexactModelError(misfit, 'it joins feature maps that fit at no input size');
  throw new InexactModelError(end, 'no input size suits all of its poolings');
}

function isBetter(a: Both, b: Both): boolean {
  const isWhole = (both: Both) => both.every(({ cut }) => cut === 0);
  return isWhole(a) === isWhole(b) ? haloOf(a) < haloOf(b) : isWhole(a);
}

const haloOf = (both: Both): number => both.reduce((sum, { before, after }) => sum + before + after, 0);

/** An image long enough to have px that no padding reaches; null where none of the lengths tried is. */
function walkLong(
  walk: (length: number) => Both | string,
  residue: number,
  multiple: number,
): Both | string | null {
  for (let length: number = LENGTHS.first; length <= LENGTHS.last; length *= 2) {
    const size = aligned(length, residue, multiple);
    const both = walk(size);
    if (typeof both === 'string') return both;
    const isLong = both.every(({ before, after, least }) => least >= 1 && before + after < size / 2);
    if (isLong) return both;
  }
  return null;
}
