import { IGNORED } from '../data/labels.js';
import type { TrainSession } from '../session.js';
import { setUpTraining } from '../setup.js';
import { paintHeat, paintLabels, paintPixels, sheetOf, writePicture } from './sheets.js';

/** Crops in a preview; even, since a row has two. */
const CROPS = 8;

/** Writes a sheet of the first crops of a training: image, labels and weights side by side. */
export async function writePreview(session: TrainSession, path: string): Promise<void> {
  const { context, engine, config } = session;
  const settings = { ...config.settings, batch: CROPS };
  const { trainee, sampler } = await setUpTraining(engine, {
    ...session,
    config: { ...config, settings },
    signal: context.signal,
  });
  const { halo } = trainee.facts.geometry;
  const { pixels, labels, weights, side, channels } = await sampler.batch(0, 0);
  const [width, height] = [side - halo.left - halo.right, side - halo.top - halo.bottom];
  // labels and weights are drawn at their place in the crop, inside its halo
  const addHalo = (inner: Uint8Array | Float32Array, fill: number): Float32Array => {
    const frame = new Float32Array(side * side).fill(fill);
    for (let y = 0; y < height; y++) {
      frame.set(inner.subarray(y * width, (y + 1) * width), (y + halo.top) * side + halo.left);
    }
    return frame;
  };
  const triples = Array.from({ length: CROPS }, (_, i) => {
    const part = <A extends Float32Array | Uint8Array>(array: A, length: number) =>
      array.subarray(i * length, (i + 1) * length);
    return [
      paintPixels(part(pixels, side * side * channels), { width: side, height: side, channels }, 255),
      paintLabels(addHalo(part(labels, width * height), IGNORED), side, side, config.classes),
      paintHeat(addHalo(part(weights, width * height), 0), side, side),
    ];
  });
  const rows = Array.from({ length: CROPS / 2 }, (_, i) => [...triples[2 * i]!, ...triples[2 * i + 1]!]);
  await writePicture(path, sheetOf(rows));
  context.stderr(`${path}: ${CROPS} crops with their labels and weights`);
}
