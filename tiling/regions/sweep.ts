import type { PixelArray } from '../raster.js';
import { Contours } from './contours.js';
import { addContour, measure, merge, newPart, type Part, type Region, regionOf, rootOf } from './region.js';

export interface SweepOptions {
  readonly width: number;
  /** Values per pixel in the rows of the image; 0 for none. */
  readonly channels: number;
  /** Whether regions get their rings. */
  readonly contours: boolean;
  readonly onRegion: (region: Region) => void;
  /** The regions of earlier planes of the same stack: ids continue after theirs. Default 0. */
  readonly idsBefore?: number;
  /** Called when a part of a region, by its serial, turns out to belong to an older part. */
  readonly onMerge?: (serial: number, into: number) => void;
  /** Called when a region ends, with the serial of its oldest part. */
  readonly onId?: (serial: number, id: number) => void;
}

/** Adjacent pixels of one class in a row, and the ends of the contours on both of its sides. */
interface Run {
  readonly start: number;
  readonly stop: number;
  readonly label: number;
  part: Part;
  first: number;
  last: number;
  /** The last run of the row above, and of the row below, that touches it. */
  above: Run | null;
  below: Run | null;
}

/** Class 0 is background. */
const BACKGROUND = 0;
/** The part of a run until it is known. */
const UNKNOWN = null as unknown as Part;

/**
 * Finds the regions of a mask while its rows come, from the top: connected components by runs, and their
 * contours. Memory holds one row and the regions that are still open. The order of regions, and so their ids,
 * depends on the mask alone.
 */
export class RegionSweep {
  readonly #contours: Contours | null;
  #previous: Run[] = [];
  #y = 0;
  #serials = 0;
  #ids: number;

  constructor(private readonly options: SweepOptions) {
    this.#ids = options.idsBefore ?? 0;
    this.#contours = options.contours ? new Contours() : null;
  }

  /** How many regions have ended, those of earlier planes included. */
  get count(): number {
    return this.#ids;
  }

  /**
   * Takes the next row.
   * @param pixels that row of the image, `width · channels` values
   * @param paint called with each run of the row that is not background, and the serial of its part
   */
  row(
    labels: Uint8Array,
    pixels: PixelArray | null = null,
    paint?: (start: number, stop: number, serial: number) => void,
  ): void {
    const runs = this.#runsOf(labels);
    this.#connect(runs);
    for (const run of runs) {
      if (run.above === null) this.#begin(run);
      const part = rootOf(run.part);
      run.part = part;
      run.above = null; // or every row would keep the one above it in memory
      measure(part, run, this.#y, pixels);
      paint?.(run.start, run.stop, part.serial);
    }
    this.#closeRow();
    this.#previous = runs;
    this.#y++;
  }

  /** Ends the regions that reach the last row. */
  finish(): void {
    this.#connect([]);
    this.#closeRow();
    this.#previous = [];
  }

  #runsOf(labels: Uint8Array): Run[] {
    const runs: Run[] = [];
    const { width } = this.options;
    for (let start = 0; start < width; ) {
      const label = labels[start]!;
      let stop = start + 1;
      while (stop < width && labels[stop] === label) stop++;
      if (label !== BACKGROUND) {
        runs.push({ start, stop, label, part: UNKNOWN, first: 0, last: 0, above: null, below: null });
      }
      start = stop;
    }
    return runs;
  }

  /** Connects the runs of a row to those above that they touch, from left to right. */
  #connect(runs: readonly Run[]): void {
    const previous = this.#previous;
    let i = 0;
    for (const run of runs) {
      while (i < previous.length && previous[i]!.stop <= run.start) i++;
      for (let j = i; j < previous.length && previous[j]!.start < run.stop; j++) {
        const upper = previous[j]!;
        if (upper.label === run.label) this.#touch(upper, run);
      }
    }
    // Where a right strand goes is known once all runs on both sides of it are.
    for (const upper of previous) this.#turnRight(upper);
  }

  /** Connects a run to one above it, to the right of all runs that either has been connected to before. */
  #touch(upper: Run, run: Run): void {
    const y = this.#y;
    const contours = this.#contours;
    const before = rootOf(upper.part);
    if (run.above === null) {
      run.part = before;
      before.runs++;
      if (contours) {
        if (upper.start === run.start) run.first = upper.first;
        else if (upper.start < run.start && upper.below !== null) {
          const { first, last } = contours.begin(run.start, upper.below.stop, y);
          run.first = first;
          upper.below.last = last;
        } else run.first = contours.bendLeft(upper.first, upper.start, run.start, y);
      }
    } else {
      const left = run.above;
      run.part = this.#merge(rootOf(run.part), before);
      if (contours) addContour(run.part, contours.join(left.last, left.stop, upper.first, upper.start, y));
    }
    rootOf(run.part).perimeter -= 2 * (Math.min(upper.stop, run.stop) - Math.max(upper.start, run.start));
    run.above = upper;
    upper.below = run;
  }

  /** Continues the right strand of a run above: down at the end of a run below, or to its own left strand. */
  #turnRight(upper: Run): void {
    const contours = this.#contours;
    if (!contours) return;
    const run = upper.below;
    if (run === null) {
      const contour = contours.join(upper.last, upper.stop, upper.first, upper.start, this.#y);
      addContour(rootOf(upper.part), contour);
    } else if (run.above === upper) {
      run.last =
        upper.stop === run.stop ? upper.last : contours.bendRight(upper.last, upper.stop, run.stop, this.#y);
    }
  }

  #begin(run: Run): void {
    run.part = newPart(this.#serials++, run, this.#y, this.options.channels);
    if (!this.#contours) return;
    const { first, last } = this.#contours.begin(run.start, run.stop, this.#y);
    run.first = first;
    run.last = last;
  }

  #merge(a: Part, b: Part): Part {
    if (a === b) return a;
    const [into, from] = merge(a, b);
    this.options.onMerge?.(from.serial, into.serial);
    return into;
  }

  /** Drops the row above: a region without a run in the row below has ended. */
  #closeRow(): void {
    for (const run of this.#previous) {
      const part = rootOf(run.part);
      if (--part.runs !== 0) continue;
      const id = ++this.#ids;
      this.options.onId?.(part.serial, id);
      this.options.onRegion(regionOf(part, id));
    }
  }
}
