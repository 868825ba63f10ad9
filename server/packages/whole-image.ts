import type { Engine, EngineModel } from '../../model/engine/engine.js';
import type { StoredPixels } from '../../model/exchange/export-model.js';
import { paddingOf } from '../../model/exchange/mirrored-graph.js';
import { type Card, trainingRangeOf } from '../../model/shelf/card.js';
import { reflectIndex } from '../../tiling/reflect.js';

/** The probabilities `[side, side, classes]` of an image `[side, side, channels]`, as a job computes them in one tile. */
export async function predictWholeImage(
  engine: Engine,
  { id, geometry, card }: EngineModel,
  image: StoredPixels,
  side: number,
): Promise<Float32Array> {
  const { inputChannels: channels, classes } = card;
  const [rows, columns] = [paddingOf(geometry, 'rows', side), paddingOf(geometry, 'columns', side)];
  const height = rows.before + side + rows.after;
  const width = columns.before + side + columns.after;
  const intensities = intensitiesOf(card, image);
  const data = new (intensities.constructor as typeof Uint8Array)(height * width * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = reflectIndex(y - rows.before, side) * side + reflectIndex(x - columns.before, side);
      const pixel = intensities.subarray(from * channels, (from + 1) * channels);
      data.set(pixel, (y * width + x) * channels);
    }
  }
  const values = await engine.predict(id, { data, count: 1, height, width, channels }, 'probabilities');
  const across = (width - geometry.halo.left - geometry.halo.right) * classes.length;
  const own = new Float32Array(side * side * classes.length);
  for (let y = 0; y < side; y++) {
    own.set(values.subarray(y * across, y * across + side * classes.length), y * side * classes.length);
  }
  return own;
}

/** Stored values as a job passes them on: those of a model with a range of its own are scaled by it. */
function intensitiesOf(card: Card, image: StoredPixels): StoredPixels {
  const trained = trainingRangeOf(card);
  if (trained === undefined) return image;
  const [low, high] = trained.range;
  return Float32Array.from(image, (value) => Math.min(1, Math.max(0, (value - low) * (1 / (high - low)))));
}
