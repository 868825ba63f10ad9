import type { Engine, EngineModel } from '../../model/engine/engine.js';
import type { StoredPixels } from '../../model/exchange/export-model.js';
import { paddingOf } from '../../model/exchange/mirrored-graph.js';
import { type Card, trainingRangeOf } from '../../model/shelf/card.js';
import type { Size } from '../../tiling/geometry.js';
import { reflectIndex } from '../../tiling/reflect.js';

/** The probabilities `[height, width, classes]` of an image `[height, width, channels]`, as a job computes them in one tile. */
export async function predictWholeImage(
  engine: Engine,
  { id, geometry, card }: EngineModel,
  image: StoredPixels,
  size: Size,
): Promise<Float32Array> {
  const { inputChannels: channels, classes } = card;
  const [rows, columns] = [
    paddingOf(geometry, 'rows', size.height),
    paddingOf(geometry, 'columns', size.width),
  ];
  const height = rows.before + size.height + rows.after;
  const width = columns.before + size.width + columns.after;
  const intensities = intensitiesOf(card, image);
  const data = new (intensities.constructor as typeof Uint8Array)(height * width * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const row = reflectIndex(y - rows.before, size.height);
      const from = row * size.width + reflectIndex(x - columns.before, size.width);
      const pixel = intensities.subarray(from * channels, (from + 1) * channels);
      data.set(pixel, (y * width + x) * channels);
    }
  }
  const values = await engine.predict(id, { data, count: 1, height, width, channels }, 'probabilities');
  const across = (width - geometry.halo.left - geometry.halo.right) * classes.length;
  const owned = size.width * classes.length;
  const own = new Float32Array(size.height * owned);
  for (let y = 0; y < size.height; y++) own.set(values.subarray(y * across, y * across + owned), y * owned);
  return own;
}

/** Stored values as a job passes them on: those of a model with a range of its own are scaled by it. */
function intensitiesOf(card: Card, image: StoredPixels): StoredPixels {
  const trained = trainingRangeOf(card);
  if (trained === undefined) return image;
  const [low, high] = trained.range;
  return Float32Array.from(image, (value) => Math.min(1, Math.max(0, (value - low) * (1 / (high - low)))));
}
