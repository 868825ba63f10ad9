import { z } from 'zod';
import type { LaneUse } from '../../model/compute-choice.js';
import { AUTO_SIDES_PX } from '../../tiling/plan.js';

const choiceSchema = z.object({
  tile: z.int().positive(),
  batch: z.int().positive(),
  lanes: z.int().positive(),
  threads: z.int().positive(),
});
export type Choice = z.infer<typeof choiceSchema>;

/** One way to compute a model, and how fast it is: Mpx of output a second, of the whole device. */
const measurementSchema = choiceSchema.extend({
  /** Of a batch. */
  tiles: z.int().positive(),
  mpxPerSecond: z.number(),
});
export type Measurement = z.infer<typeof measurementSchema>;

/** What was measured of a model on a device, and the fastest of it. */
export const tuningSchema = z.object({
  choice: choiceSchema,
  measurements: z.array(measurementSchema),
  tookMs: z.number(),
});
export type Tuning = z.infer<typeof tuningSchema>;

/** Outputs smaller than this are for small images: for large ones they compute too much halo. */
const SMALLEST_PX = 192;
/** Output sides that are tried first, in px; then those next to the fastest. */
const COARSE_SIDES_PX = [768, 256, 1024];
/** Output side in px of the small tiles whose batches are compared with single tiles, and tiles of such a batch. */
const BATCH_SIDE_PX = 256;
const BATCH_TILES = 4;
/** The least speedup for which a change is chosen: less is noise, or what the memory of larger tiles costs a job. */
const MIN_SPEEDUP = 1.03;
/** The same for batches: in a slide, the tiles of one wait for each other, and lanes for tiles. */
const MIN_BATCH_SPEEDUP = 1.1;

/** What a search may try. */
export interface SearchSpace {
  readonly start: Choice;
  /** Ways to divide the device's threads, `start`'s among them. */
  readonly divisions: readonly LaneUse[];
  /** Whether a way to compute the model fits into the memory. */
  readonly fits: (choice: Choice) => boolean;
  /** Px of a tile with this output side, its halo included. */
  readonly tilePx: (outputPx: number) => number;
}

/** The ways to divide threads into equal lanes, from the most lanes to one: for each number of threads, the most lanes. */
export function divisionsOf(threads: number): LaneUse[] {
  const all = Array.from({ length: threads }, (_, i) => {
    return { lanes: threads - i, threads: Math.floor(threads / (threads - i)) };
  });
  return all.filter((division, i) => division.threads !== all[i - 1]?.threads);
}

/**
 * Searches for the fastest way to compute a model, one dimension after the other: the side of the tile; the division
 * into lanes; and whether small tiles are batched. Ends when the time is up, with the fastest so far.
 *
 * @param measure the speed of one way, in Mpx of output a second
 * @param isTimeUp whether to measure no further way; at least one is measured
 */
export async function searchChoice(
  { start, divisions, fits, tilePx }: SearchSpace,
  measure: (choice: Choice) => Promise<number>,
  isTimeUp: () => boolean,
): Promise<Pick<Tuning, 'choice' | 'measurements'>> {
  const measurements: Measurement[] = [];
  const speedOf = async (choice: Choice): Promise<number> => {
    if (measurements.length > 0 && (isTimeUp() || !fits(choice))) return 0;
    const mpxPerSecond = await measure(choice);
    const before = measurements.find((known) => isSame(known, choice));
    if (!before) measurements.push({ ...choice, tiles: tilesOf(choice, tilePx), mpxPerSecond });
    else before.mpxPerSecond = Math.max(before.mpxPerSecond, mpxPerSecond);
    return before?.mpxPerSecond ?? mpxPerSecond;
  };
  let best = { choice: start, speed: await speedOf(start) };
  const attempt = async (change: Partial<Choice>): Promise<boolean> => {
    const choice = { ...best.choice, ...change };
    const speed = await speedOf(choice);
    if (speed < MIN_SPEEDUP * best.speed) return false;
    best = { choice, speed };
    return true;
  };
  const sides = AUTO_SIDES_PX.filter((px) => px >= SMALLEST_PX);
  // far apart first, then around the fastest: neighbours differ by little more than noise
  for (const tile of COARSE_SIDES_PX) if (tile !== start.tile) await attempt({ tile });
  const found = sides.indexOf(best.choice.tile);
  for (const step of [1, -1, 2, -2]) {
    const tile = sides[found + step];
    if (tile !== undefined && measurements.every((known) => known.tile !== tile)) await attempt({ tile });
  }
  // other work on the machine can only have slowed them down: the two fastest are measured again
  const second = fastestOf(measurements.filter((known) => !isSame(known, best.choice)));
  if (second && !isTimeUp()) {
    best.speed = await speedOf(best.choice);
    await attempt({ tile: second.tile });
  }
  for (const { lanes, threads } of divisions) {
    if (lanes !== start.lanes) await attempt({ lanes, threads });
  }
  const small = { ...best.choice, tile: BATCH_SIDE_PX };
  const px = tilePx(BATCH_SIDE_PX);
  const alone = await speedOf({ ...small, batch: px });
  const together = await speedOf({ ...small, batch: BATCH_TILES * px });
  const isBetter = together >= MIN_BATCH_SPEEDUP * alone && together > 0;
  const batch = alone === 0 ? start.batch : isBetter ? BATCH_TILES * px : px;
  return { choice: { ...best.choice, batch }, measurements };
}

/**
 * Measures every combination of tile, division and batch that fits into the memory.
 * @param onMeasured called with each
 */
export async function measureAll(
  { start, divisions, fits, tilePx }: SearchSpace,
  measure: (choice: Choice) => Promise<number>,
  onMeasured: (measurement: Measurement) => void,
): Promise<Pick<Tuning, 'choice' | 'measurements'>> {
  const measurements: Measurement[] = [];
  for (const division of divisions) {
    for (const tile of AUTO_SIDES_PX.filter((px) => px >= SMALLEST_PX)) {
      for (const tiles of tile === BATCH_SIDE_PX ? [1, BATCH_TILES] : [1]) {
        const choice = { ...start, ...division, tile, batch: tiles * tilePx(tile) };
        if (!fits(choice)) continue;
        const measurement = {
          ...choice,
          tiles: tilesOf(choice, tilePx),
          mpxPerSecond: await measure(choice),
        };
        measurements.push(measurement);
        onMeasured(measurement);
      }
    }
  }
  const fastest = fastestOf(measurements.filter(({ tile }) => tile !== BATCH_SIDE_PX)) ?? start;
  const small = measurements.filter(({ tile }) => tile === BATCH_SIDE_PX);
  const rated = small.map(({ mpxPerSecond, ...way }) => {
    return { ...way, mpxPerSecond: mpxPerSecond / (way.tiles > 1 ? MIN_BATCH_SPEEDUP : 1) };
  });
  return { choice: { ...fastest, batch: fastestOf(rated)?.batch ?? start.batch }, measurements };
}

/** The fastest of some ways; null where there are none. */
function fastestOf(measurements: readonly Measurement[]): Choice | null {
  const [fastest] = [...measurements].sort((a, b) => b.mpxPerSecond - a.mpxPerSecond);
  if (!fastest) return null;
  const { tile, batch, lanes, threads } = fastest;
  return { tile, batch, lanes, threads };
}

const isSame = (a: Choice, b: Choice): boolean =>
  a.tile === b.tile && a.batch === b.batch && a.lanes === b.lanes && a.threads === b.threads;

const tilesOf = ({ tile, batch }: Choice, tilePx: SearchSpace['tilePx']): number =>
  Math.max(1, Math.floor(batch / tilePx(tile)));
