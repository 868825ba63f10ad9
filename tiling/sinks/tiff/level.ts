import type { Size } from '../../geometry.js';
import { pyramidSizes } from '../pyramid.js';

/** Side of the file's own tiles in px; the TIFF requires a multiple of 16. */
export const TIFF_TILE_PX = 256;

/** Sizes of a pyramid's levels: each half of the one before, rounded up, until one tile holds it. */
export const levelSizes = (size: Size): [Size, ...Size[]] => pyramidSizes(size, { tilePx: TIFF_TILE_PX });

/** A level of the pyramid, and where its tiles are. */
export class Level {
  /** Tiles per row. */
  readonly across: number;
  /** Of each plane, of each tile. */
  readonly offsets: number[][];
  readonly byteCounts: number[][];

  /** @param planes images that the file has of each level */
  constructor(
    readonly size: Size,
    tile: Size,
    planes: number,
  ) {
    this.across = Math.ceil(size.width / TIFF_TILE_PX);
    const tiles = this.across * Math.ceil(size.height / tile.height);
    const zeros = () => Array.from({ length: planes }, () => Array<number>(tiles).fill(0));
    this.offsets = zeros();
    this.byteCounts = zeros();
  }
}
