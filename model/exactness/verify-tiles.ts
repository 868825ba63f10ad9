import { VerificationError } from '../errors.js';
import { repeatScale, scaleOf, type TileScale } from '../network/tile-scale.js';
import type { TestedNetwork } from './self-test.js';
import { noiseOf } from './self-test.js';
import { cut, type Place } from './tile-comparison.js';

/** Values that were compared, and those whose bits differ. */
export interface Compared {
  readonly values: number;
  readonly differing: number;
}

export interface VerifiedTiles {
  /** Tiles of two shapes, at three places each, with one pass over the whole image. */
  readonly tiles: Compared;
  /** What a tile owns, in an image whose px beyond those that the tile reads are others. */
  readonly outside: Compared;
}

/** The distance of places, and by which sizes differ, in px: enough to compare many values. */
const UNIT = 48;

/** Distinct values of one pass, at least: where most are equal, equal tiles show nothing. */
const MIN_DISTINCT = 100;

/**
 * Ranges of the noise that is fed, as differences of its largest value and its least: null for intensities from 0 to 1,
 * the others around 0. A network of other values may be saturated by the first, or return a constant.
 */
const SPANS = [null, 4, 255, 1 / 16] as const;

/**
 * Verifies the derived geometry of a network on this device: that tiles equal one pass, and that nothing beyond their halo
 * changes a bit of what they own.
 * @param unitPx the distance of places, at least
 * @throws VerificationError for a network whose output hardly depends on the image, of which nothing can be compared
 */
export async function verifyTiles(
  network: TestedNetwork,
  channels: number,
  unitPx = UNIT,
): Promise<VerifiedTiles> {
  const { smallest, multiple } = network.geometry;
  const unit = Math.ceil(unitPx / multiple) * multiple;
  const full: Place = { x: 0, y: 0, width: smallest + 7 * unit, height: smallest + 6 * unit };
  const image = noiseOf({ isOfBytes: true }, full.width * full.height * channels) as Uint8Array;
  let scale: TileScale | undefined;
  const predict = (places: readonly Place[], data: Uint8Array) => {
    const [{ width, height }] = places as [Place];
    const batch = new Uint8Array(places.length * width * height * channels);
    for (const [i, place] of places.entries()) cut({ data, width: full.width, channels }, place, batch, i);
    const count = places.length;
    const tiles = { data: batch, count, width, height, channels, scale: scale && repeatScale(scale, count) };
    return network.predict(tiles, 'probabilities', false) as Promise<Float32Array>;
  };
  let whole: Float32Array = new Float32Array();
  for (const span of SPANS) {
    scale = span === null ? undefined : spanning(span, channels);
    whole = await predict([full], image);
    if (hasDistinct(whole)) break;
  }
  if (!hasDistinct(whole)) {
    throw new VerificationError(
      `what it returns for noise has fewer than ${MIN_DISTINCT} different values, so that tiles cannot be compared with one pass`,
    );
  }
  const at = (x: number, y: number, wider: number, taller: number): Place => ({
    x,
    y,
    width: smallest + wider * unit,
    height: smallest + taller * unit,
  });
  const phases = [
    [0, 0],
    [unit, 2 * unit + multiple],
    [4 * unit - multiple, 3 * unit],
  ] as const;
  let tiles: Compared = { values: 0, differing: 0 };
  for (const [wider, taller] of [
    [0, 0],
    [3, 1],
  ] as const) {
    const places = phases.map(([x, y]) => at(x, y, wider, taller));
    tiles = sum(tiles, compare(network, full, places, await predict(places, image), whole));
  }
  const place = at(2 * unit, 3 * unit, 3, 2);
  const others = image.map((value, i) => {
    const [x, y] = [Math.floor(i / channels) % full.width, Math.floor(i / channels / full.width)];
    const isInside = x >= place.x && x < place.x + place.width && y >= place.y && y < place.y + place.height;
    return isInside ? value : 255 - value;
  });
  const [alone, changed] = [await predict([place], image), await predict([full], others)];
  return { tiles, outside: compare(network, full, [place], alone, changed) };
}

/** The scale of bytes that makes them numbers from −span / 2 to span / 2. */
const spanning = (span: number, channels: number): TileScale =>
  scaleOf(
    Array.from({ length: channels }, () => ({
      shift: 127.5,
      factor: span / 255,
      low: Number.NEGATIVE_INFINITY,
      high: Number.POSITIVE_INFINITY,
    })),
  );

function hasDistinct(values: Float32Array): boolean {
  const found = new Set<number>();
  for (const value of values) if (found.add(value).size >= MIN_DISTINCT) return true;
  return false;
}

const sum = (a: Compared, b: Compared): Compared => ({
  values: a.values + b.values,
  differing: a.differing + b.differing,
});

/** Compares the probabilities of tiles with the same px of the whole image. */
function compare(
  { geometry: { halo } }: TestedNetwork,
  full: Place,
  places: readonly Place[],
  found: Float32Array,
  whole: Float32Array,
): Compared {
  const across = (place: Place) => place.width - halo.left - halo.right;
  const down = (place: Place) => place.height - halo.top - halo.bottom;
  const values = whole.length / across(full) / down(full);
  const [own, all] = [found, whole].map(
    (floats) => new Uint32Array(floats.buffer, floats.byteOffset, floats.length),
  ) as [Uint32Array, Uint32Array];
  let differing = 0;
  let at = 0;
  for (const place of places) {
    for (let row = 0; row < down(place); row++) {
      const from = ((row + place.y) * across(full) + place.x) * values;
      const length = across(place) * values;
      for (let i = 0; i < length; i++) if (own[at + i] !== all[from + i]) differing++;
      at += length;
    }
  }
  // what is missing differs, too
  return { values: at, differing: differing + Math.abs(found.length - at) };
}
