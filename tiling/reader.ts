import { columns, type Rect, rectOf, rows } from './geometry.js';
import { pixelArray, type Raster } from './raster.js';
import { edgeIndex, edgeInterval, reflectedInterval, reflectIndex } from './reflect.js';
import type { ImageSource } from './source.js';

/** What lies outside an image: its mirror image without the edge pixel, or the edge pixel repeated. */
export type Border = 'reflect' | 'edge';

/**
 * Reads what a tile sees: the image's pixels inside it, and those of the border outside.
 * @param read in image px; may extend beyond the image on every side, by any amount
 */
export async function readTile(
  source: ImageSource,
  read: Rect,
  signal?: AbortSignal,
  border: Border = 'reflect',
): Promise<Raster> {
  const { size } = source;
  const { channels, dtype } = source.facts;
  const within = border === 'reflect' ? reflectedInterval : edgeInterval;
  const index = border === 'reflect' ? reflectIndex : edgeIndex;
  const x = within(columns(read), size.width);
  const y = within(rows(read), size.height);
  const region = await source.readRegion(rectOf(x, y), signal);
  if (
    region.width === read.width &&
    region.height === read.height &&
    read.x === x.start &&
    read.y === y.start
  ) {
    return region;
  }
  const data = pixelArray(dtype, read.width * read.height * channels);
  // The columns inside the image are one run; only those outside are mirrored one by one.
  const inside = { start: Math.max(read.x, 0), stop: Math.min(read.x + read.width, size.width) };
  const outside: [to: number, from: number][] = [];
  for (let i = 0; i < read.width; i++) {
    const column = read.x + i;
    if (column < inside.start || column >= inside.stop) {
      outside.push([i * channels, (index(column, size.width) - x.start) * channels]);
    }
  }
  const rowLength = read.width * channels;
  const written = new Map<number, number>();
  for (let j = 0; j < read.height; j++) {
    const row = index(read.y + j, size.height) - y.start;
    const to = j * rowLength;
    const same = written.get(row);
    if (same !== undefined) {
      data.copyWithin(to, same, same + rowLength);
      continue;
    }
    written.set(row, to);
    const from = row * region.width * channels;
    if (inside.stop > inside.start) {
      const first = from + (inside.start - x.start) * channels;
      const length = (inside.stop - inside.start) * channels;
      data.set(region.data.subarray(first, first + length), to + (inside.start - read.x) * channels);
    }
    for (const [column, mirrored] of outside) {
      for (let c = 0; c < channels; c++) data[to + column + c] = region.data[from + mirrored + c]!;
    }
  }
  return { data, width: read.width, height: read.height, channels };
}
