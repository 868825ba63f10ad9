import type { Size } from '../../geometry.js';
import type { StackFacts } from '../../planes.js';
import type { PixelSize } from '../../source.js';
import type { Values } from '../halve.js';
import { pyramidSizes } from '../pyramid.js';
import type { MaskClass } from '../tiff/ome-xml.js';

/** Types of a Zarr's values, with the array and Zarr 2's name of each. */
export const ZARR_TYPES = {
  uint8: { array: Uint8Array, v2: '|u1', bytes: 1 },
  uint32: { array: Uint32Array, v2: '<u4', bytes: 4 },
  float32: { array: Float32Array, v2: '<f4', bytes: 4 },
} as const satisfies Record<string, { array: new (length: number) => Values; v2: string; bytes: number }>;

/** What an OME-Zarr holds. */
export interface ZarrFormat {
  /** Of the image, such as `labels`; of labels, their name in the group `labels`. */
  readonly name: string;
  /** Whether values are those of labels, which are never blended: one a px. Otherwise they are those of an image. */
  readonly isLabels: boolean;
  /** Values per pixel, interleaved as they come; an axis c where it is an image. */
  readonly channels: number;
  readonly dtype: keyof typeof ZARR_TYPES;
  readonly mpp: PixelSize | null;
  /** Of a stack, its planes, as bands name them: axes t and z. Default one plane, and axes y and x alone. */
  readonly stack?: StackFacts | undefined;
  /** What values of labels mean, or channels: their names and colours. Default none. */
  readonly classes?: readonly MaskClass[];
}

/** Versions of the metadata (NGFF), each with its version of Zarr. */
export type NgffVersion = '0.4' | '0.5';

/** How an array is cut, in px. */
export interface ZarrGrid {
  readonly chunkPx: number;
  /** Of the files that chunks are stored in; null where each is a file. Multiples of `chunkPx`. */
  readonly shard: Size | null;
}

/** Bytes of a chunk before it is compressed: as few requests as possible, and small tiles for viewers. */
const CHUNK_BYTES = 1 << 18;
/** Side of a chunk that is a file, in px: fewer files, and more memory. */
const FILE_CHUNK_PX = 1024;
/** Documents of groups: of the root, of the labels together, and of those. */
const DOCUMENTS = 3;
/** Side of a shard in px: a slide of 100,000 px a side has 900 of them, overviews included. */
const SHARD_PX = 4096;

/** Side of a format's chunks in px: a power of two. */
export function chunkPxOf({ dtype }: ZarrFormat, version: NgffVersion): number {
  if (version === '0.4') return FILE_CHUNK_PX;
  return Math.sqrt(CHUNK_BYTES / (ZARR_TYPES[dtype].bytes > 1 ? 4 : 1));
}

/** How a level is cut. Small levels have small shards: of as many chunks as they need. */
export function gridOf({ width, height }: Size, chunkPx: number, version: NgffVersion): ZarrGrid {
  if (version === '0.4') return { chunkPx, shard: null };
  const cover = (side: number): number => Math.min(SHARD_PX, Math.ceil(side / chunkPx) * chunkPx);
  return { chunkPx, shard: { width: cover(width), height: cover(height) } };
}

/** How many files an OME-Zarr 0.5 has, at most: a shard of zeros alone is none. */
export function mostFiles(size: Size, format: ZarrFormat): number {
  const { channels, isLabels, stack = { sizeZ: 1, sizeT: 1 } } = format;
  const tilePx = chunkPxOf(format, '0.5');
  const images = stack.sizeZ * stack.sizeT * (isLabels ? 1 : channels);
  const levels = pyramidSizes(size, { tilePx });
  const shards = levels.reduce((sum, level) => {
    const { width, height } = gridOf(level, tilePx, '0.5').shard!;
    return sum + Math.ceil(level.width / width) * Math.ceil(level.height / height);
  }, 0);
  return shards * images + levels.length + DOCUMENTS;
}
