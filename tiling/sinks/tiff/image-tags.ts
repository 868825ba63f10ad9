import type { Size } from '../../geometry.js';
import { LONG, LONG8, RATIONAL, SHORT, type Tag } from '../../tiff/big-tiff.js';
import { COMPRESSION, PHOTOMETRIC, SAMPLE_FORMAT, TAG } from '../../tiff/tags.js';
import { PIXEL_TYPES, planesOf, type TiffFormat } from './format.js';
import { type Level, TIFF_TILE_PX } from './level.js';
import type { MaskClass } from './ome-xml.js';

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
    { id: TAG.newSubfileType, type: LONG, values: [isReduced ? 1 : 0] },
    { id: TAG.width, type: LONG, values: [size.width] },
    { id: TAG.height, type: LONG, values: [size.height] },
    short(TAG.bits, ...Array<number>(samples).fill(bits)),
    short(TAG.compression, COMPRESSION.deflate),
    short(TAG.photometric, PHOTOMETRIC[hasPalette ? 'palette' : samples === 3 ? 'rgb' : 'blackIsZero']),
    short(TAG.samples, samples),
    short(TAG.planar, 1), // interleaved
    { id: TAG.tileWidth, type: LONG, values: [TIFF_TILE_PX] },
    { id: TAG.tileHeight, type: LONG, values: [tileHeight] },
    { id: TAG.tileOffsets, type: LONG8, values: offsets[plane]! },
    { id: TAG.tileByteCounts, type: LONG8, values: byteCounts[plane]! },
    short(
      TAG.sampleFormat,
      ...Array<number>(samples).fill(SAMPLE_FORMAT[dtype === 'float32' ? 'float' : 'unsigned']),
    ),
  ];
  if (hasPalette) tags.push(short(TAG.colourMap, ...colourMap(classes)));
  if (mpp !== null) {
    tags.push({
      id: TAG.xResolution,
      type: RATIONAL,
      values: [(10_000 / mpp.x) * (size.width / fullSize.width)],
    });
    tags.push({
      id: TAG.yResolution,
      type: RATIONAL,
      values: [(10_000 / mpp.y) * (size.height / fullSize.height)],
    });
    tags.push(short(TAG.resolutionUnit, 3)); // px per centimetre
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
