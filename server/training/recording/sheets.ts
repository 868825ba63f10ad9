import type { Card } from '../../../model/shelf/card.js';
import { PngSink } from '../../../tiling/sinks/png.js';
import { rgbOf } from '../../contract/colours.js';
import { CELL_PX } from '../data/miniature.js';

/** An RGB image, `width · height · 3` bytes. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

const GAP_PX = 6;

/**
 * Paints an image of `width · height` px, resized by nearest neighbour: a large one down to `CELL_PX`, a small one
 * up by an integer factor, to at most half of that.
 *
 * @param colour the RGB colour of the pixel with this index
 */
export function paint(
  width: number,
  height: number,
  colour: (at: number) => readonly [number, number, number],
): Picture {
  const longest = Math.max(width, height);
  const scale =
    longest > CELL_PX / 2 ? Math.max(1, longest / CELL_PX) : 1 / Math.floor(CELL_PX / 2 / longest);
  const size = {
    width: Math.max(1, Math.floor(width / scale)),
    height: Math.max(1, Math.floor(height / scale)),
  };
  const data = new Uint8Array(size.width * size.height * 3);
  for (let y = 0; y < size.height; y++) {
    for (let x = 0; x < size.width; x++) {
      const from = Math.floor(y * scale) * width + Math.floor(x * scale);
      data.set(colour(from), (y * size.width + x) * 3);
    }
  }
  return { ...size, data };
}

/** Paints gray or RGB values, or the first of other channels, multiplied by `scale` to 0 to 255. */
export function paintPixels(
  values: ArrayLike<number>,
  { width, height, channels }: { readonly width: number; readonly height: number; readonly channels: number },
  scale: number,
): Picture {
  const level = (i: number) => Math.min(255, Math.max(0, Math.round(values[i]! * scale)));
  return paint(width, height, (at) => {
    if (channels !== 3) return [level(at * channels), level(at * channels), level(at * channels)];
    return [level(at * 3), level(at * 3 + 1), level(at * 3 + 2)];
  });
}

/** Paints class indices in the colours of their classes; classes without one, and indices of no class, are gray. */
export function paintLabels(
  labels: ArrayLike<number>,
  width: number,
  height: number,
  classes: Card['classes'],
): Picture {
  const colours = classes.map(({ colour }, i) => {
    const gray = Math.round((255 * i) / Math.max(1, classes.length - 1)) * 0.35 + 20;
    return rgbOf(colour) ?? ([gray, gray, gray] as const);
  });
  return paint(width, height, (at) => colours[labels[at]!] ?? [128, 128, 128]);
}

/** Paints values from black at 0, through red and yellow, to white at the maximum. */
export function paintHeat(values: ArrayLike<number>, width: number, height: number): Picture {
  let top = 0;
  for (let at = 0; at < values.length; at++) top = Math.max(top, values[at]!);
  const ramp = (x: number) => Math.min(255, Math.max(0, Math.round(255 * x)));
  return paint(width, height, (at) => {
    const heat = top === 0 ? 0 : (3 * values[at]!) / top;
    return [ramp(heat), ramp(heat - 1), ramp(heat - 2)];
  });
}

/** Arranges rows of pictures on a white sheet. */
export function sheetOf(rows: readonly (readonly Picture[])[]): Picture {
  const columns = Math.max(...rows.map((row) => row.length));
  const cell = (side: 'width' | 'height') => Math.max(...rows.flat().map((picture) => picture[side]));
  const [across, down] = [cell('width') + GAP_PX, cell('height') + GAP_PX];
  const [width, height] = [columns * across + GAP_PX, rows.length * down + GAP_PX];
  const data = new Uint8Array(width * height * 3).fill(255);
  for (const [r, row] of rows.entries()) {
    for (const [c, picture] of row.entries()) {
      const origin = (r * down + GAP_PX) * width + c * across + GAP_PX;
      for (let y = 0; y < picture.height; y++) {
        const line = picture.data.subarray(y * picture.width * 3, (y + 1) * picture.width * 3);
        data.set(line, (origin + y * width) * 3);
      }
    }
  }
  return { width, height, data };
}

/** Writes a picture as PNG. */
export async function writePicture(path: string, { width, height, data }: Picture): Promise<void> {
  const sink = await PngSink.create(path, { width, height }, { channels: 3, mpp: null });
  try {
    await sink.writeBand({ x: 0, y: 0, width, height }, data);
    await sink.finish();
  } catch (error) {
    await sink.abort();
    throw error;
  }
}
