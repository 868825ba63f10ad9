import { valuesPerPixel } from '../../model/network/output-kind.js';
import type { Card } from '../../model/shelf/card.js';
import type { Size } from '../../tiling/geometry.js';
import { pyramidSizes } from '../../tiling/sinks/pyramid.js';
import { bytesPerPixel, maskOf, outputKindOf, type ResultFile } from '../contract/outputs.js';
import { routeResults } from './routing.js';

/** Side of the smallest tiles that files are cut into, in px. */
const TILE_PX = 256;
/** What a tile takes beside the pixels of the image: what it is filled up with, and its part of a directory. */
const TILE_BYTES = 2048;
/** What a file takes beside its bytes, of a disk whose blocks are these. */
const BLOCK_BYTES = 4096;
/** What the bands of a plane take in the journal beside their values. */
const BANDS_BYTES = 64;

/** The image, or its mask as it is computed, and how many planes it has. */
export interface DiskDemand {
  /** Of the image, which results have. */
  readonly size: Size;
  /** Of the mask as it is computed: smaller, or larger, where the image is scaled for the model. */
  readonly maskSize: Size;
  readonly planes: number;
}

/**
 * The maximum disk space of a job while it runs, in bytes: its journal and the files of its results. Tables and
 * contours are not counted: they grow with what is found, not with the image.
 */
export function expectedDisk(
  results: readonly Pick<ResultFile, 'output' | 'format'>[],
  { classes }: Pick<Card, 'classes'>,
  { size, maskSize, planes }: DiskDemand,
): number {
  const output = outputKindOf(results);
  const isScaled = size.width !== maskSize.width || size.height !== maskSize.height;
  const named = results.map((result) => ({ ...result, path: '' }));
  const routes = routeResults({ id: '', results: named, scratchDir: '' }, isScaled ? null : maskSize.width);
  const masks = routes.filter(({ isTemporary }) => isTemporary).map(({ mask }) => mask);
  const bytes = (files: readonly Pick<ResultFile, 'output' | 'format'>[], of: Size): number =>
    files.reduce((sum, file) => sum + bytesOfPlane(file, classes.length, of), 0);
  const journalled = output === 'labels' ? 1 : 4 * valuesPerPixel(output, classes.length);
  const journal = journalled * maskSize.width * maskSize.height + BANDS_BYTES;
  return planes * Math.ceil(journal + bytes(masks, maskSize) + bytes(results, size));
}

/** The maximum of what one plane takes in a file: of small ones, most is what fills up their tiles. */
function bytesOfPlane(
  file: Pick<ResultFile, 'output' | 'format'>,
  classes: number,
  { width, height }: Size,
): number {
  const pixels = bytesPerPixel(file, classes) * width * height;
  if (file.format !== 'tiff' && file.format !== 'zarr') return pixels;
  const images = maskOf(file.output) === 'probabilities' ? classes : 1;
  const levels = pyramidSizes({ width, height }, { tilePx: TILE_PX });
  const tilesAtEdges = levels.reduce(
    (sum, level) => sum + Math.ceil(level.width / TILE_PX) + Math.ceil(level.height / TILE_PX),
    0,
  );
  const files = file.format === 'zarr' ? levels.length * BLOCK_BYTES : 0;
  return pixels + images * (tilesAtEdges * TILE_BYTES + files);
}
