import type { Size } from '../../tiling/geometry.js';
import type { Plane } from '../../tiling/planes.js';

/** Side of a viewer's tiles in px: that of the masks' own tiles, so that one tile is decoded for one shown. */
export const VIEW_TILE_PX = 256;

/** A tile of a Deep Zoom pyramid: level 0 is one px, each level twice the one before. */
export interface ViewTile {
  readonly level: number;
  readonly column: number;
  readonly row: number;
}

/** A plane of a stack that is viewed, in the image and in its mask, whose planes count from 0. */
export interface ViewPlane {
  readonly image: Plane;
  readonly mask: Plane;
}

/** The number of a Deep Zoom pyramid's largest level. */
export const deepZoomLevels = ({ width, height }: Size): number =>
  Math.ceil(Math.log2(Math.max(width, height, 1)));
