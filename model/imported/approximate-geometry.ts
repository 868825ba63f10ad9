import { solveGeometry } from '../network/axis/solve.js';
import type { Margins, TileGeometry } from '../network/geometry.js';
import type { LoweredGraph } from './lower.js';
import { INPUT_ID } from './values.js';

/** The share of a tile that its halo may be on each side, where nothing is exact anyway: the rest is what it owns. */
const HALO_SHARE = 1 / 4;

/** A geometry with less of a halo, as far as the network returns it. */
export function narrowed({ halo, padded, ...geometry }: TileGeometry, side: number): TileGeometry {
  const share = Math.floor(side * HALO_SHARE);
  const { multiple } = geometry;
  const most = share < multiple ? share : share - (share % multiple); // in phase where it can be
  const less = (edge: keyof Margins) => Math.min(padded[edge], Math.max(0, halo[edge] - most));
  const shrunk = (margins: Margins): Margins => ({
    top: margins.top - less('top'),
    left: margins.left - less('left'),
    bottom: margins.bottom - less('bottom'),
    right: margins.right - less('right'),
  });
  return { ...geometry, halo: shrunk(halo), padded: shrunk(padded) };
}

/** The geometry of all that is exact in a graph: what makes one px of a whole tile is left out. */
export function geometryBesideInexact(graph: LoweredGraph): TileGeometry {
  const isPixel = new Set<number>();
  for (const { sizes, inputs, output } of graph.nodes) {
    if (sizes.every((px) => px === 1) || inputs.every((id) => isPixel.has(id))) isPixel.add(output);
  }
  const nodes = graph.nodes
    .filter(({ output }) => !isPixel.has(output))
    .map((node) => ({ ...node, inputs: node.inputs.filter((id) => !isPixel.has(id)) }));
  return solveGeometry({ nodes, input: INPUT_ID, output: graph.output });
}
