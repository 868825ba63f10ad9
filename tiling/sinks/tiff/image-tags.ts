import type { Size } from '../../geometry.js';
import { PIXEL_TYPES, planesOf, type TiffFormat } from './format.js';
import { type Level, TIFF_TILE_PX } from './level.js';
import type { MaskClass } from './ome-xml.js';
import { LONG, LONG8, RATIONAL, SHORT, type Tag } from './tags.js';

/** What the tags of a level's image depend on. */
export interface TaggedLevel {
  readonly level: Level;
  readonly format: TiffFormat;
  /** Size of the largest level: pixels of the others are larger in proportion. */
  readonly fullSize: Size;
  readonly tileHeight: number;
  /** Whether it is a smaller version of another image. */
  readonly isReduced: boolean;
}

/** The tags of one plane of a level (TIFF 6.0), but for its description and SubIFDs. */
export function imageTags(
  { level, format, fullSize, tileHeight, isReduced }: TaggedLevel,
  plane: number,
): Tag[] {
  const { channels, dtype, mpp, classes = [] } = format;
  const { size, offsets, byteCounts } = level;
  const samples = channels / planesOf(format);
  const hasPalette = channels === 1 && dtype === 'uint8' && classes.some(({ colour }) => colour !== null);
  const bits = PIXEL_TYPES[dtype].array.BYTES_PER_ELEMENT * 8;
  const short = (id: number, ...values: number[]): Tag => ({ id, type: SHORT, values });
  const tags = [
    { id: 254, type: LONG, values: [isReduced ? 1 : 0] }, // new subfile type
    { id: 256, type: LONG, values: [size.width] },
    { id: 257, type: LONG, values: [size.height] },
    short(258, ...Array<number>(samples).fill(bits)), // bits per sample
    short(259, 8), // compression: Adobe deflate
    short(262, hasPalette ? 3 : samples === 3 ? 2 : 1), // photometric: palette, RGB, or 0 is black
    short(277, samples),
    short(284, 1), // planar configuration: interleaved
    { id: 322, type: LONG, values: [TIFF_TILE_PX] }, // tile width
    { id: 323, type: LONG, values: [tileHeight] },
    { id: 324, type: LONG8, values: offsets[plane]! },
    { id: 325, type: LONG8, values: byteCounts[plane]! },
    short(339, ...Array<number>(samples).fill(dtype === 'float32' ? 3 : 1)), // sample format
  ];
  if (hasPalette) tags.push(short(320, ...colourMap(classes)));
  if (mpp !== null) {
    tags.push({ id: 282, type: RATIONAL, values: [(10_000 / mpp.x) * (size.width / fullSize.width)] });
    tags.push({ id: 283, type: RATIONAL, values: [(10_000 / mpp.y) * (size.height / fullSize.height)] });
    tags.push(short(296, 3)); // resolution unit: px per centimetre
  }
  return tags;
}

/** Reds, greens and blues of all 256 values, 16 bits each; classes without a colour are black. */
function colourMap(classes: readonly MaskClass[]): number[] {
  return [16, 8, 0].flatMap((shift) =>
    Array.from({ length: 256 }, (_, i) => {
      const colour = Number.parseInt(classes[i]?.colour?.slice(1) ?? '0', 16);
      return ((colour >> shift) & 255) * 257;
    }),
  );
}
