import type { DirectoryPlace, Span, TagPlace, TiffMap } from './tiff-map.js';

/** Numbers of the tags that mutations change (TIFF 6.0; SubIFDs and JPEGTables: Adobe's technical notes). */
export const TAG = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  fillOrder: 266,
  description: 270,
  stripOffsets: 273,
  samples: 277,
  rowsPerStrip: 278,
  stripCounts: 279,
  planar: 284,
  predictor: 317,
  palette: 320,
  tileWidth: 322,
  tileHeight: 323,
  tileOffsets: 324,
  tileCounts: 325,
  sampleFormat: 339,
  children: 330,
  extraSamples: 338,
  jpegTables: 347,
};

/** Tags that set the size of an image, its chunks or its samples. */
export const SIZE_TAGS = [
  TAG.width,
  TAG.height,
  TAG.bits,
  TAG.samples,
  TAG.tileWidth,
  TAG.tileHeight,
  TAG.rowsPerStrip,
];
/** Tags without which no image can be decoded. */
export const REQUIRED_TAGS = [
  TAG.width,
  TAG.height,
  TAG.tileWidth,
  TAG.tileHeight,
  TAG.stripOffsets,
  TAG.tileOffsets,
];
/** Tags whose values decoding depends on, where a page has them. */
const DECODING_TAGS = [
  ...SIZE_TAGS,
  ...REQUIRED_TAGS,
  TAG.compression,
  TAG.stripCounts,
  TAG.tileCounts,
  TAG.palette,
  TAG.jpegTables,
];
/** Compressions whose chunks decode to exactly the bytes that the tags imply: none, LZW, deflate, PackBits. */
const BYTE_COMPRESSIONS = [1, 5, 8, 32773];

/** The tags that list the offsets and the byte counts of a page's strips or tiles. */
export const chunkTags = (page: DirectoryPlace): [TagPlace, TagPlace] => [
  (page.tags.get(TAG.tileOffsets) ?? page.tags.get(TAG.stripOffsets))!,
  (page.tags.get(TAG.tileCounts) ?? page.tags.get(TAG.stripCounts))!,
];

/** The first value of a tag, or `fallback` where the page does not have it. */
export function tagValue(map: TiffMap, page: DirectoryPlace, tag: number, fallback: number): number {
  const place = page.tags.get(tag);
  return place ? map.value(place) : fallback;
}

/** The bytes that have to be in the file for some pages to be decoded: header, directories, values and pixels. */
export function requiredSpans(map: TiffMap, planes: readonly number[]): Span[] {
  const word = map.big ? 8 : 4;
  const chain = map.pages.slice(0, Math.max(...planes) + 1);
  return [
    { start: 0, stop: map.big ? 16 : 8 },
    ...chain.map(({ whole }) => ({ start: whole.start, stop: whole.stop - word })),
    ...planes.flatMap((plane) => {
      const { tags, chunks } = map.pages[plane]!;
      return [...chunks, ...DECODING_TAGS.flatMap((tag) => tags.get(tag)?.values ?? [])];
    }),
  ];
}

/**
 * Whether the chunks of a page can hold the image that its tags describe.
 * @param changes new values of some tags, by tag
 */
export function fits(map: TiffMap, page: DirectoryPlace, changes: ReadonlyMap<number, number>): boolean {
  const layout = (changed: ReadonlyMap<number, number>) => {
    const value = (tag: number, fallback: number) => changed.get(tag) ?? tagValue(map, page, tag, fallback);
    const [width, height] = [value(TAG.width, 0), value(TAG.height, 0)];
    const tiled = page.tags.has(TAG.tileWidth);
    const samples = value(TAG.samples, 1);
    const planar = samples > 1 && value(TAG.planar, 1) === 2;
    const across = tiled ? value(TAG.tileWidth, 0) : width;
    const down = tiled ? value(TAG.tileHeight, 0) : Math.min(height, value(TAG.rowsPerStrip, height));
    const rowBytes = Math.ceil((across * (planar ? 1 : samples) * value(TAG.bits, 1)) / 8);
    const planes = planar ? samples : 1;
    const chunks = Math.ceil(width / across) * Math.ceil(height / down) * planes;
    const positive = width * height * across * down * samples * value(TAG.bits, 1) > 0;
    return { positive, planes, chunks, bytes: rowBytes * down, allBytes: rowBytes * height * planes };
  };
  const [before, after] = [layout(new Map()), layout(changes)];
  if (!after.positive) return false;
  const compression = tagValue(map, page, TAG.compression, 1);
  // Uncompressed rows in one strip are contiguous, whatever RowsPerStrip says.
  const oneStrip = compression === 1 && !page.tags.has(TAG.tileWidth) && page.chunks.length === after.planes;
  if (oneStrip) return after.allBytes <= before.allBytes;
  if (after.chunks > page.chunks.length) return false;
  return !BYTE_COMPRESSIONS.includes(compression) || after.bytes <= before.bytes;
}
