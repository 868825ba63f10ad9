import { z } from 'zod';
import type { TileBatch } from '../network/frozen.js';
import type { TileGeometry } from '../network/geometry.js';
import type { OutputKind } from '../network/output-kind.js';
import { joinScales, repeatScale, type TileScale, testScale } from '../network/tile-scale.js';
import { cut, follow, type Outputs, type Place, TileComparison } from './tile-comparison.js';

/** How a network is used. Each use compiles to a separate graph, whose kernels could round differently. */
export interface GraphUse {
  readonly output: OutputKind;
  /** Whether probabilities are means over the eight symmetries of the square. */
  readonly symmetries: boolean;
  /** Set where labels are thresholded; one graph serves every threshold. */
  readonly threshold?: true;
  /** Channels of the tiles. */
  readonly channels: number;
  /** Set where tiles are of 8 bits: to a device that takes bytes, they are another graph. */
  readonly isOfBytes?: true;
  /** The channels of the network's input, where tiles have a scale that is fed with them; see `TileScale`. */
  readonly scaled?: number;
}

/** Tiles of the largest batch that is tested. */
export const MANY = 8;

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
   * differ. Null where nothing was compared: a network that is not tileable has tiles of one size only.
   */
  readonly largestDifference: number | null;
}

/** An outcome as it is stored. */
export const tilingOutcome = z.object({
  exact: z.boolean(),
  largestDifference: z.number().min(0).nullable(),
}) satisfies z.ZodType<TilingOutcome>;

/**
 * Compares tiles with one pass over the whole image on this device.
 *
 * The tiles are square and oblong in both directions, the smallest size among them, alone and in batches of several
 * sizes: kernels that compute one tile, or three, as part of an image do not always do so with more. Some are computed by
 * the threads of a lane, some by all of the device. Kernels may differ between sizes and threads, so none of this is ever
 * assumed. All calls of `predict` are made at once, and each is short, so that other jobs' batches run in between.
 *
 * Where kernels are chosen by shape, as on a GPU, each shape that is used is compared with these; see `testShape`.
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
  const full = { x: 0, y: 0, ...testImageSize(network.geometry) };
  const image = noiseOf(use, full.width * full.height * channels);

  const predict = (
    kind: OutputKind,
    places: readonly Place[],
    by: Pick<TestedNetwork, 'predict'>,
    scale = scaleFor(use, places.length),
  ) => {
    const [{ width, height }] = places as [Place];
    const Values = image.constructor as typeof Uint8Array;
    const data = new Values(places.length * width * height * channels);
    for (const [i, place] of places.entries()) {
      cut({ data: image, width: full.width, channels }, place, data, i);
    }
    const batch = { data, count: places.length, width, height, channels, ...scale };
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

  /** Tiles beside those of another image, whose scale is another one. */
  const computeMixed = async (places: readonly Place[]) => {
    const own = scaleFor(use, 1)?.scale;
    if (!own) return [];
    const other: TileScale = { ...own, shift: own.shift.map((value) => value / 2) };
    const scale = joinScales(
      places.flatMap(() => [own, other]),
      2 * places.length,
    );
    const twice = places.flatMap((place) => [place, place]);
    return [
      { places, found: everySecond(await predict('probabilities', twice, network, { scale }), places) },
    ];
  };

  const isPlain = output === 'probabilities';
  const [reference, probabilities, mixed, pass, outputs] = await Promise.all([
    predict('probabilities', [full], whole) as Promise<Float32Array>,
    compute('probabilities', [alone, few, many, wide, tall]),
    computeMixed(few),
    isPlain ? null : predict(output, [full], network),
    compute(output, isPlain ? [] : [alone, many, wide]),
  ]);
  const comparison = new TileComparison(full, network.geometry);
  const classes = comparison.valuesOf(reference);
  const compared = [
    ...[...probabilities, ...mixed].map((tiles) => [tiles, reference] as const),
    ...outputs.map((tiles) => [tiles, pass!] as const),
  ];
  const isRight =
    pass === null || follow(reference, pass, { classes, isThresholded: use.threshold === true });
  return {
    exact: isRight && compared.every(([tiles, expected]) => comparison.agree(tiles, expected)),
    largestDifference: Math.max(
      ...compared.map(([tiles, expected]) => comparison.difference(tiles, expected, classes)),
    ),
  };
}

/** The first, the third, … of the outputs of tiles, of which there are twice as many as places. */
function everySecond(values: Outputs, places: readonly Place[]): Outputs {
  const length = values.length / 2 / places.length;
  const kept = values.slice(0, values.length / 2);
  for (let i = 0; i < places.length; i++) {
    kept.set(values.subarray(2 * i * length, (2 * i + 1) * length), i * length);
  }
  return kept;
}

/** The scale of a batch of one image, where the graph reads one. */
export function scaleFor(
  { scaled, isOfBytes }: Pick<GraphUse, 'scaled' | 'isOfBytes'>,
  count: number,
): Pick<TileBatch, 'scale'> | undefined {
  return scaled === undefined
    ? undefined
    : { scale: repeatScale(testScale(scaled, isOfBytes === true), count) };
}

/** Pseudorandom values over the full range of their type, which is that of the images that a graph is for. */
export function noiseOf(
  { isOfBytes }: Pick<GraphUse, 'isOfBytes'>,
  length: number,
): Uint8Array | Uint16Array {
  const values = isOfBytes ? new Uint8Array(length) : new Uint16Array(length);
  const shift = isOfBytes ? 24 : 16;
  for (let i = 0; i < length; i++) values[i] = Math.imul(i + 1, 0x9e3779b1) >>> shift;
  return values;
}

/** The size in px of the image of which one pass is compared with tiles. */
export const testImageSize = ({ smallest, multiple }: TileGeometry) => {
  return { width: smallest + 12 * multiple, height: smallest + 9 * multiple }; // oblong, since rows and columns could be confused
};
