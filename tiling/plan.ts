import { TileSizeError } from './errors.js';
import { type Interval, type Margins, type Rect, rectOf, runs, type Size, within } from './geometry.js';

/**
 * Three rectangles, never one "tile":
 *
 *     +----------- read -----------+   read:  what the network sees, in image px; where it extends beyond
 *     |  halo                      |          the image, that is mirrored
 *     |     +--- valid out ---+    |   write: the pixels that the tile owns, in image px; the write
 *     |     | write     :     |    |          rectangles of a plan partition the image
 *     |     |           :     |    |   crop:  `write` in the px of the tile's output
 *     |     |...........:     |    |
 *     |     +-----------------+    |
 *     +----------------------------+
 */
export interface Tile {
  readonly index: number;
  readonly read: Rect;
  readonly write: Rect;
  readonly crop: Rect;
}

/** One row of tiles in one column block: what is written together, as rows of the mask. */
export interface Band {
  readonly index: number;
  /** Of a stack: the plane, by its place among those that are planned. 0 in any other image. */
  readonly plane: number;
  /** The pixels of all of its tiles, in image px. */
  readonly write: Rect;
  readonly tiles: readonly Tile[];
}

/** Which tiles the network accepts; see `TileGeometry` in `model/`. */
export interface TileRule {
  /** What a tile sees beyond its output. */
  readonly halo: Margins;
  /** Read origins must be congruent modulo this, so that poolings are in phase. */
  readonly multiple: number;
  /** Valid tile sides are `smallest + k·multiple` px. */
  readonly smallest: number;
}

export interface TilePlan {
  readonly image: Size;
  /** Planes of a stack, which have the same tiles each; 1 for any other image. */
  readonly planes: number;
  /** The network's input, in px. */
  readonly tile: Size;
  readonly halo: Margins;
  /** Distance of neighbouring tiles: the largest multiple that fits into the output. */
  readonly stride: Size;
  /** Number of tiles, of all planes. */
  readonly count: number;
  /** Lazy; plane by plane, and in each column block by column block, from the top, from the left. */
  bands(): Generator<Band>;
}

/**
 * Wide images are processed in blocks of this many columns, each from top to bottom: a band of the mask is never
 * wider, so that memory depends on neither side of the image.
 */
export const COLUMN_BLOCK_PX = 8192;

/** Larger tile sides are accepted only where one tile covers the whole image. */
const MAX_TILE_PX = COLUMN_BLOCK_PX;

export interface PlanInput {
  /** The network's input in px, both sides valid by the rule. */
  readonly tile: Size;
  readonly rule: TileRule;
  /** Planes of a stack, each of the image's size. Default 1. */
  readonly planes?: number;
}

/**
 * Plans the tiles of an image, or of each plane of a stack. Pure, and lazy in the tiles.
 *
 * @throws TileSizeError for sides that the network does not accept
 */
export function planTiles(image: Size, { tile, rule, planes = 1 }: PlanInput): TilePlan {
  const { halo, multiple } = rule;
  checkSide(tile.width, rule);
  checkSide(tile.height, rule);
  const out = within(tile, halo);
  const isSingle = out.width >= image.width && out.height >= image.height;
  if (!isSingle && Math.max(tile.width, tile.height) > MAX_TILE_PX) {
    throw new TileSizeError(
      `tiles of ${tile.width}×${tile.height} px are larger than ${MAX_TILE_PX} px and do not cover the image of ` +
        `${image.width}×${image.height} px; use "whole" or a smaller tile`,
    );
  }
  const stride = { width: alignDown(out.width, multiple), height: alignDown(out.height, multiple) };
  const single = { start: 0, stop: Math.max(image.width, 1) };
  const blocks = (): Iterable<Interval> =>
    isSingle ? [single] : runs({ start: 0, stop: image.width }, COLUMN_BLOCK_PX);
  const step = isSingle ? image : stride;
  // A block may begin between two aligned columns: its first tile begins at the one before, and owns less of its output.
  const columns = ({ start, stop }: Interval): Interval[] => [
    ...runs({ start: alignDown(start, multiple), stop }, step.width),
  ];
  const across = [...blocks()].reduce((n, block) => n + columns(block).length, 0);
  return {
    image,
    planes,
    tile,
    halo,
    stride,
    count: across * Math.ceil(image.height / step.height) * planes,
    *bands() {
      let index = 0;
      let band = 0;
      for (let plane = 0; plane < planes; plane++) {
        for (const block of blocks()) {
          for (const y of runs({ start: 0, stop: image.height }, step.height)) {
            const tiles = columns(block).map((x) => tileAt(index++, rectOf(x, y), block.start, tile, halo));
            yield { index: band++, plane, write: rectOf(block, y), tiles };
          }
        }
      }
    },
  };
}

/**
 * The tile of an output.
 * @param from the column where the block of the tile begins, in front of which the tile owns nothing
 */
function tileAt(index: number, output: Rect, from: number, tile: Size, halo: Margins): Tile {
  const x = Math.max(output.x, from);
  const write = { ...output, x, width: output.x + output.width - x };
  return {
    index,
    write,
    read: { x: output.x - halo.left, y: output.y - halo.top, ...tile },
    crop: { ...write, x: x - output.x, y: 0 },
  };
}

/** How tiles are chosen: by their size, as one tile for the whole image, or automatically. */
export type TileChoice = Size | 'whole' | 'auto';

/** Sides in px of the outputs that `auto` chooses from for images of many tiles. */
export const AUTO_SIDES_PX: readonly number[] = [
  32, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024,
];

/** The side of the output of an image's tiles where no model was tuned, in px. */
export const AUTO_OUTPUT_PX = 512;

/** A side of an image up to this many times the tile's is covered by one larger tile: two would compute more. */
const ONE_TILE = 1.25;

/**
 * Resolves a choice to a tile size for an image. `auto` takes, along each side of the image, one tile where
 * `outputPx`, or up to a quarter more, covers it: a multiple of 32 px, or of 64 px beyond 512. Else it takes the one of
 * `AUTO_SIDES_PX` of up to `outputPx` that computes the fewest px. Each is rounded up to what the model takes.
 *
 * @param outputPx the side of the output, in px, that is the fastest for an image of many tiles
 */
export function chooseTile(
  image: Size,
  choice: TileChoice,
  rule: TileRule,
  outputPx: number = AUTO_OUTPUT_PX,
): Size {
  if (typeof choice === 'object') return choice;
  const { top, left, bottom, right } = rule.halo;
  const side = (length: number, halo: number): number =>
    coveringSide(choice === 'whole' ? length : autoOutput(length, halo, rule, outputPx), halo, rule);
  return { width: side(image.width, left + right), height: side(image.height, top + bottom) };
}

/** The output of a tile along a side of an image of `length` px, for a halo of both ends. */
function autoOutput(length: number, halo: number, { multiple }: TileRule, outputPx: number): number {
  const single = singleSide(length);
  const covering = length <= outputPx ? Math.min(single, outputPx) : single;
  if (covering <= ONE_TILE * outputPx) return covering;
  const sides = [...AUTO_SIDES_PX.filter((px) => px < outputPx), outputPx];
  const computed = (px: number): number => {
    const stride = alignUp(px, multiple);
    return Math.ceil(length / stride) * (stride + halo);
  };
  return sides.reduce((best, px) => (computed(px) <= computed(best) ? px : best));
}

/** The output of a single tile along a side of `length` px. Images of all sizes have few of them. */
const singleSide = (length: number): number => alignUp(Math.max(length, 1), length <= 512 ? 32 : 64);

/** Parses `572`, `572x828` (width × height), `whole` or `auto`. */
export function parseTileChoice(text: string): TileChoice {
  if (text === 'whole' || text === 'auto') return text;
  const match = /^(\d{1,7})(?:[x×](\d{1,7}))?$/.exec(text);
  if (!match)
    throw new TileSizeError(`invalid tile "${text}": expected "auto", "whole", a side in px or WIDTHxHEIGHT`);
  return { width: Number(match[1]), height: Number(match[2] ?? match[1]) };
}

/** The smallest valid tile side whose output is at least `length` px; `halo` is that of both ends. */
function coveringSide(length: number, halo: number, { multiple, smallest }: TileRule): number {
  return smallest + alignUp(Math.max(0, length + halo - smallest), multiple);
}

function checkSide(side: number, { halo, multiple, smallest }: TileRule): void {
  if (side >= smallest && (side - smallest) % multiple === 0) return;
  const below = Math.max(smallest, smallest + alignDown(side - smallest, multiple));
  throw new TileSizeError(
    `${side} px is not a valid tile side for this model: it accepts ${smallest} + k·${multiple} px, ` +
      `such as ${below} or ${below + multiple} (its halo is ${haloText(halo)})`,
  );
}

const alignDown = (n: number, multiple: number): number => Math.floor(n / multiple) * multiple;
const alignUp = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;

/** The share of the network's input px that is halo, in [0, 1): what exactness costs. */
export function haloShare({ image, planes, count, tile }: TilePlan): number {
  return 1 - (image.width * image.height * planes) / (count * tile.width * tile.height);
}

/** Formats a halo: one number where all sides are equal. */
export function haloText({ top, left, bottom, right }: Margins): string {
  const even = top === left && top === bottom && top === right;
  return even ? `${top} px a side` : `${top}, ${right}, ${bottom}, ${left} px (top, right, bottom, left)`;
}
