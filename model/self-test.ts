import { z } from 'zod';
import type { TileBatch } from './frozen.js';
import type { TileGeometry } from './geometry.js';
import type { OutputKind } from './output-kind.js';
import { type Place, TileComparison } from './tile-comparison.js';

/** How a network is used. Each use compiles to a separate graph, whose kernels could round differently. */
export interface GraphUse {
  readonly output: OutputKind;
  /** Whether probabilities are means over the eight symmetries of the square. */
  readonly symmetries: boolean;
  /** Set where labels are thresholded; one graph serves every threshold. */
  readonly threshold?: true;
  /** Channels of the tiles. */
  readonly channels: number;
}

/** The threshold in the test of a graph that has one; its value is an input of the graph. */
export const TEST_THRESHOLD = 0.5;

/** An outcome as it is stored. */
export const tilingOutcome: z.ZodType<TilingOutcome> = z.object({
  exact: z.boolean(),
  largestDifference: z.number().min(0).nullable(),
});

/** Tiles of the largest batch that is tested. */
const MANY = 8;

/** The network under test, on its device. */
export interface TestedNetwork {
  readonly geometry: TileGeometry;
  predict(batch: TileBatch, output: OutputKind, symmetries: boolean): Promise<Uint8Array | Float32Array>;
}

/** What the comparison of tiles with one pass over the whole image found. */
export interface TilingOutcome {
  /** Whether every bit agreed, and every label is a class of the greatest probability, or follows from the threshold. */
  readonly exact: boolean;
  /**
   * The largest difference between probabilities that should be equal, from 0 to 1; 0 where all are, though labels may
   * differ. Null where nothing was compared: a network that resizes its output has tiles of one size only.
   */
  readonly largestDifference: number | null;
}

/**
 * Compares tiles with one pass over the whole image on this device.
 *
 * The tiles are square and oblong in both directions, the smallest size among them, alone and in batches of several
 * sizes: kernels that compute one tile, or three, as part of an image do not always do so with more. Their type does not
 * matter to the graph, which reads floats. Some are computed by the threads of a lane, some by all of the
 * device. Kernels may differ between sizes and threads, so none of this is ever assumed. All calls of `predict` are made
 * at once, and each is short, so that other jobs' batches run in between.
 *
 * @param network computed by the threads of a lane
 * @param whole the same network, computed by all threads of the device
 */
export async function selfTest(
  network: TestedNetwork,
  use: GraphUse,
  whole: Pick<TestedNetwork, 'predict'> = network,
): Promise<TilingOutcome> {
  const { multiple, smallest, tileable } = network.geometry;
  if (!tileable) return { exact: false, largestDifference: null };
  const { output, symmetries, channels } = use;
  // oblong, since rows and columns could be confused
  const full = { x: 0, y: 0, width: smallest + 12 * multiple, height: smallest + 9 * multiple };
  const image = noise(full.width * full.height * channels);

  const predict = (kind: OutputKind, places: readonly Place[], by: Pick<TestedNetwork, 'predict'>) => {
    const [{ width, height }] = places as [Place];
    const data = new Uint16Array(places.length * width * height * channels);
    for (const [i, { x, y }] of places.entries()) {
      for (let row = 0; row < height; row++) {
        const from = ((y + row) * full.width + x) * channels;
        data.set(image.subarray(from, from + width * channels), (i * height + row) * width * channels);
      }
    }
    const batch = { data, count: places.length, width, height, channels };
    return by.predict(batch, kind, symmetries);
  };
  const compute = (kind: OutputKind, all: readonly (readonly Place[])[]) =>
    Promise.all(
      all.map(async (places) => {
        return { places, found: await predict(kind, places, places === wide ? whole : network) };
      }),
    );
  const at = (x: number, y: number, wider = 0, taller = 0): Place => ({
    x: x * multiple,
    y: y * multiple,
    width: smallest + wider * multiple,
    height: smallest + taller * multiple,
  });
  const alone = [at(0, 0)];
  const few = [at(12, 9), at(1, 2), at(5, 0)];
  const many = Array.from({ length: MANY }, (_, i) => at((5 * i + 1) % 13, (3 * i + 2) % 10));
  const wide = [at(1, 4, 6), at(0, 9, 6)];
  const tall = [at(7, 3, 0, 5)];

  const isPlain = output === 'probabilities';
  const [reference, probabilities, pass, outputs] = await Promise.all([
    predict('probabilities', [full], whole) as Promise<Float32Array>,
    compute('probabilities', [alone, few, many, wide, tall]),
    isPlain ? null : predict(output, [full], network),
    compute(output, isPlain ? [] : [alone, many, wide]),
  ]);
  const comparison = new TileComparison(full, network.geometry);
  const classes = comparison.valuesOf(reference);
  const compared = [
    ...probabilities.map((tiles) => [tiles, reference] as const),
    ...outputs.map((tiles) => [tiles, pass!] as const),
  ];
  const isRight =
    pass === null || followFrom(reference, pass, { classes, isThresholded: use.threshold === true });
  return {
    exact: isRight && compared.every(([tiles, expected]) => comparison.agree(tiles, expected)),
    largestDifference: Math.max(
      ...compared.map(([tiles, expected]) => comparison.difference(tiles, expected, classes)),
    ),
  };
}

/**
 * Whether each label is a class of the greatest probability, or 1 exactly where that of the second is high enough; and
 * whether probabilities beside labels are those without them.
 *
 * @param output labels, or for each pixel its probabilities and its label
 */
function followFrom(
  probabilities: Float32Array,
  output: Uint8Array | Float32Array,
  { classes, isThresholded }: { readonly classes: number; readonly isThresholded: boolean },
): boolean {
  const pixels = probabilities.length / classes;
  const values = output.length / pixels;
  for (let at = 0; at < pixels; at++) {
    const own = probabilities.subarray(at * classes, (at + 1) * classes);
    const label = output[(at + 1) * values - 1]!;
    const isRight = isThresholded
      ? label === (own[1]! >= TEST_THRESHOLD ? 1 : 0)
      : label < classes && own.every((probability) => probability <= own[label]!);
    if (!isRight) return false;
    for (let k = 0; k < values - 1; k++) if (output[at * values + k] !== own[k]) return false;
  }
  return true;
}

/** Pseudorandom values over the full range of 16 bits. */
const noise = (length: number): Uint16Array =>
  Uint16Array.from({ length }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 16);
