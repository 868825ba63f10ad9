import { z } from 'zod';
import type { LaneUse } from '../../model/compute-choice.js';
import { AUTO_SIDES_PX } from '../../tiling/plan.js';
import { tilesOf } from './batch-sizes.js';

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

/** What was measured of a model on a device, and which of it was chosen. */
export const tuningSchema = z.object({
  choice: choiceSchema,
  measurements: z.array(measurementSchema),
  tookMs: z.number(),
});
export type Tuning = z.infer<typeof tuningSchema>;

/** The speed of the chosen tile and division into lanes, in Mpx of output a second; the greatest that was measured. */
export function chosenSpeed({ choice, measurements }: Pick<Tuning, 'choice' | 'measurements'>): number {
  const own = measurements.filter(({ tile, lanes }) => tile === choice.tile && lanes === choice.lanes);
  return Math.max(...own.map(({ mpxPerSecond }) => mpxPerSecond));
}

/** Outputs smaller than this are for small images: for large ones they compute too much halo. */
const SMALLEST_PX = 192;
/** Output sides that are tried first, in px; then those next to the fastest. */
const COARSE_SIDES_PX = [768, 256, 1024];
/** Output side in px of the small tiles whose batches are compared with single tiles, and tiles of such a batch. */
const BATCH_SIDE_PX = 256;
const BATCH_TILES = 4;
/**
 * The least speedup for which another tile or division into lanes is chosen: less is noise, larger tiles cost a job more
 * memory, and images beside it wait longer for their batches.
 */
const MIN_SPEEDUP = 1.05;
/** How much faster larger batches have to be: in a slide, the tiles of one wait for each other, and lanes for tiles. */
const MIN_BATCH_SPEEDUP = 1.1;

/** What a search may try. */
export interface SearchSpace {
  readonly start: Choice;
  /** Ways to divide the device's threads, `start`'s among them. */
  readonly divisions: readonly LaneUse[];
  /** Whether a way to compute the model fits into the memory. */
  readonly fits: (choice: Choice) => boolean;
  /** Whether `start` has the px of a batch that the device needs, as a GPU does: none is searched for. Default false. */
  readonly isBatchGiven?: boolean;
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
  space: SearchSpace,
  measure: (choice: Choice) => Promise<number>,
  isTimeUp: () => boolean,
): Promise<Pick<Tuning, 'choice' | 'measurements'>> {
  const search = new Search(space, measure, isTimeUp);
  const fastest = await search.fastestDivision(await search.fastestSide());
  const batch = await search.fastestBatch(fastest);
  return { choice: { ...fastest, batch }, measurements: search.measurements };
}

/** The ways that were measured so far. */
class Search {
  readonly measurements: Measurement[] = [];

  constructor(
    private readonly space: SearchSpace,
    private readonly measure: (choice: Choice) => Promise<number>,
    private readonly isTimeUp: () => boolean,
  ) {}

  /** The start, unless another side is faster by `MIN_SPEEDUP`; then the smallest that none is faster than by as much. */
  async fastestSide(): Promise<Choice> {
    const { start } = this.space;
    const sides = AUTO_SIDES_PX.filter((px) => px >= SMALLEST_PX);
    const isNew = (tile: number) => this.measurements.every((known) => known.tile !== tile);
    await this.#speedOf(start);
    // far apart first, then around the fastest: neighbours differ by little more than noise
    for (const tile of COARSE_SIDES_PX) if (isNew(tile)) await this.#speedOf({ ...start, tile });
    const found = sides.indexOf(this.#ranked()[0]!.tile);
    for (const step of [1, -1, 2, -2]) {
      const tile = sides[found + step];
      if (tile !== undefined && isNew(tile)) await this.#speedOf({ ...start, tile });
    }
    // other work on the machine can only have slowed them down: those that matter are measured again
    const started = this.measurements[0]!;
    for (const choice of new Set([started, ...this.#ranked().slice(0, 2)])) await this.#speedOf(choice);
    return smallestOf(started, this.measurements);
  }

  /** The division into lanes, unless another one is faster by `MIN_SPEEDUP`. */
  async fastestDivision(choice: Choice): Promise<Choice> {
    let best = { choice, speed: this.#known(choice)!.mpxPerSecond };
    for (const { lanes, threads } of this.space.divisions) {
      if (lanes === choice.lanes) continue;
      const other = { ...choice, lanes, threads };
      const speed = await this.#speedOf(other);
      if (speed >= MIN_SPEEDUP * best.speed) best = { choice: other, speed };
    }
    return best.choice;
  }

  /** The most px of a batch, by which small tiles are computed one by one or together. */
  async fastestBatch(choice: Choice): Promise<number> {
    if (this.space.isBatchGiven) return choice.batch;
    const px = this.space.tilePx(BATCH_SIDE_PX);
    const small = { ...choice, tile: BATCH_SIDE_PX };
    const alone = await this.#speedOf({ ...small, batch: px });
    const together = await this.#speedOf({ ...small, batch: BATCH_TILES * px });
    if (alone === 0) return this.space.start.batch;
    return together >= MIN_BATCH_SPEEDUP * alone ? BATCH_TILES * px : px;
  }

  /** The greatest speed that was measured of a way; 0 where it does not fit, or is not measured in time. */
  async #speedOf(choice: Choice): Promise<number> {
    const { fits, tilePx } = this.space;
    if (this.measurements.length > 0 && (this.isTimeUp() || !fits(choice))) return 0;
    const mpxPerSecond = await this.measure(choiceOf(choice));
    const known = this.#known(choice);
    if (known) known.mpxPerSecond = Math.max(known.mpxPerSecond, mpxPerSecond);
    else this.measurements.push({ ...choice, tiles: tilesIn(choice, tilePx), mpxPerSecond });
    return known?.mpxPerSecond ?? mpxPerSecond;
  }

  #known(choice: Choice): Measurement | undefined {
    return this.measurements.find((known) => isSame(known, choice));
  }

  /** From the fastest on. */
  #ranked(): Measurement[] {
    return this.measurements.toSorted(bySpeed);
  }
}

/**
 * Measures every combination of tile, division and batch that fits into the memory.
 * @param onMeasured called with each
 * @returns the start, unless another tile and division are faster by `MIN_SPEEDUP`; then those with the smallest tile that
 *   none are faster than by as much
 */
export async function measureAll(
  { start, divisions, fits, tilePx, isBatchGiven = false }: SearchSpace,
  measure: (choice: Choice) => Promise<number>,
  onMeasured: (measurement: Measurement) => void,
): Promise<Pick<Tuning, 'choice' | 'measurements'>> {
  const measurements: Measurement[] = [];
  for (const division of divisions) {
    for (const tile of AUTO_SIDES_PX.filter((px) => px >= SMALLEST_PX)) {
      for (const tiles of tile === BATCH_SIDE_PX && !isBatchGiven ? [1, BATCH_TILES] : [1]) {
        const batch = isBatchGiven ? start.batch : tiles * tilePx(tile);
        const choice = { ...start, ...division, tile, batch };
        if (!fits(choice)) continue;
        const measurement = {
          ...choice,
          tiles: tilesIn(choice, tilePx),
          mpxPerSecond: await measure(choice),
        };
        measurements.push(measurement);
        onMeasured(measurement);
      }
    }
  }
  const single = measurements.filter(({ tiles }) => isBatchGiven || tiles === 1);
  const started = single.find(({ tile, lanes }) => tile === start.tile && lanes === start.lanes);
  const best = single.length === 0 ? start : smallestOf(started, single);
  if (isBatchGiven) return { choice: choiceOf(best), measurements };
  const small = measurements.filter(({ tile }) => tile === BATCH_SIDE_PX);
  const rated = small.map(({ mpxPerSecond, ...way }) => {
    return { ...way, mpxPerSecond: mpxPerSecond / (way.tiles > 1 ? MIN_BATCH_SPEEDUP : 1) };
  });
  const batch = rated.toSorted(bySpeed)[0]?.batch ?? start.batch;
  return { choice: { ...choiceOf(best), batch }, measurements };
}

/** The fastest way that computes tiles one by one; undefined where nothing was measured. */
export const fastestTile = (measurements: readonly Measurement[]): Measurement | undefined =>
  measurements.filter(({ tiles }) => tiles === 1).toSorted(bySpeed)[0];

/** The start, or else the way with the smallest tile, that no other is faster than by `MIN_SPEEDUP`. */
function smallestOf(started: Measurement | undefined, all: readonly Measurement[]): Choice {
  const fastest = all.toSorted(bySpeed)[0]!;
  const ways = [...(started ? [started] : []), ...all.toSorted((a, b) => a.tile - b.tile)];
  return choiceOf(ways.find(({ mpxPerSecond }) => fastest.mpxPerSecond < MIN_SPEEDUP * mpxPerSecond)!);
}

const bySpeed = (a: Measurement, b: Measurement): number => b.mpxPerSecond - a.mpxPerSecond;

const choiceOf = ({ tile, batch, lanes, threads }: Choice): Choice => ({ tile, batch, lanes, threads });

const isSame = (a: Choice, b: Choice): boolean =>
  a.tile === b.tile && a.batch === b.batch && a.lanes === b.lanes && a.threads === b.threads;

const tilesIn = ({ tile, batch }: Choice, tilePx: SearchSpace['tilePx']): number =>
  tilesOf(batch, tilePx(tile));
