import type { PixelArray } from '../raster.js';
import { Contours, ringArea } from './contours.js';
import { splitAtPinches } from './pinches.js';

/** A region: pixels of one class that touch each other by their sides, as many as there are. */
export interface Region {
  /** From 1, in the order in which regions end; the value of its pixels among instances. */
  readonly id: number;
  /** The class. */
  readonly label: number;
  /** In px. */
  readonly area: number;
  /** The mean of its pixels' centres, in px from the image's corner. */
  readonly centroid: { readonly x: number; readonly y: number };
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  /** The length of its borders along the pixels' sides, those of its holes included, in px. */
  readonly perimeter: number;
  /** The mean of its pixels in each channel of the image; none where the sweep was given no pixels. */
  readonly intensity: readonly number[];
  /**
   * Corners x, y, …: the outer ring, of positive area, then the holes. None passes a corner twice; they may
   * touch each other at corners. None where they are not wanted.
   */
  readonly rings: readonly Int32Array[];
}

export interface SweepOptions {
  readonly width: number;
  /** Values a pixel that rows of the image have; 0 for none. */
  readonly channels: number;
  readonly contours: boolean;
  readonly onRegion: (region: Region) => void;
  /** Called with a number for each run of pixels that may begin a region, and the number that it turned out to belong to. */
  readonly onMerge?: (serial: number, into: number) => void;
  readonly onId?: (serial: number, id: number) => void;
}

/** What is known of a region so far. One that turned out to be part of another points to it. */
interface Part {
  forward: Part | null;
  readonly serial: number;
  readonly label: number;
  /** Runs of the last row that belong to it; 0 ends it. */
  runs: number;
  area: number;
  sumX: number;
  sumY: number;
  left: number;
  right: number;
  readonly top: number;
  bottom: number;
  perimeter: number;
  sums: Float64Array;
  rings: Int32Array[];
}

/** Pixels of one class side by side in a row, and the ends of the contours on both of its sides. */
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

/**
 * Finds the regions of a mask while its rows come, from the top: connected components by runs, and their
 * contours. Memory holds one row and the regions that it may still enlarge. The order of regions, and
 * so their ids, depends on the mask alone.
 */
export class RegionSweep {
  readonly #contours: Contours | null;
  #previous: Run[] = [];
  #y = 0;
  #serials = 0;
  #ids = 0;

  constructor(private readonly options: SweepOptions) {
    this.#contours = options.contours ? new Contours() : null;
  }

  /** Regions that have ended. */
  get count(): number {
    return this.#ids;
  }

  /**
   * Takes the next row.
   * @param pixels that row of the image, `width · channels` values
   * @param paint called with each run of the row that is no background, and the serial of its region so far
   */
  row(
    labels: Uint8Array,
    pixels: PixelArray | null = null,
    paint?: (start: number, stop: number, serial: number) => void,
  ): void {
    const runs: Run[] = [];
    const { width } = this.options;
    for (let start = 0; start < width; ) {
      const label = labels[start]!;
      let stop = start + 1;
      while (stop < width && labels[stop] === label) stop++;
      if (label !== BACKGROUND) {
        runs.push({ start, stop, label, part: NONE, first: 0, last: 0, above: null, below: null });
      }
      start = stop;
    }
    this.#connect(runs);
    for (const run of runs) {
      if (run.above === null) this.#begin(run);
      const part = rootOf(run.part);
      run.part = part;
      run.above = null; // or every row would keep the one above it
      this.#measure(part, run, pixels);
      paint?.(run.start, run.stop, part.serial);
    }
    this.#leave();
    this.#previous = runs;
    this.#y++;
  }

  /** Ends the regions that reach the last row. */
  finish(): void {
    this.#connect([]);
    this.#leave();
    this.#previous = [];
  }

  /** Joins the runs of a row with those above that they touch, from left to right. */
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
    // Where a right strand goes is known when all runs on both sides of it are.
    for (const upper of previous) this.#turnRight(upper);
  }

  /** A run below touches one above, further to the right than all that either has touched before. */
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
      if (contours) keep(run.part, contours.join(left.last, left.stop, upper.first, upper.start, y));
    }
    rootOf(run.part).perimeter -= 2 * (Math.min(upper.stop, run.stop) - Math.max(upper.start, run.start));
    run.above = upper;
    upper.below = run;
  }

  /** Where the right strand of a run above goes: down at the end of a run below, or to its own left strand. */
  #turnRight(upper: Run): void {
    const contours = this.#contours;
    if (!contours) return;
    const run = upper.below;
    if (run === null) {
      keep(rootOf(upper.part), contours.join(upper.last, upper.stop, upper.first, upper.start, this.#y));
    } else if (run.above === upper) {
      run.last =
        upper.stop === run.stop ? upper.last : contours.bendRight(upper.last, upper.stop, run.stop, this.#y);
    }
  }

  #begin(run: Run): void {
    run.part = {
      ...{ forward: null, serial: this.#serials++, label: run.label, runs: 1, area: 0, sumX: 0, sumY: 0 },
      ...{ left: run.start, right: run.stop, top: this.#y, bottom: this.#y + 1, perimeter: 0 },
      ...{ sums: new Float64Array(this.options.channels), rings: [] },
    };
    if (!this.#contours) return;
    const { first, last } = this.#contours.begin(run.start, run.stop, this.#y);
    run.first = first;
    run.last = last;
  }

  #measure(part: Part, { start, stop }: Run, pixels: PixelArray | null): void {
    const length = stop - start;
    part.area += length;
    part.sumX += (length * (start + stop)) / 2;
    part.sumY += length * (this.#y + 0.5);
    part.left = Math.min(part.left, start);
    part.right = Math.max(part.right, stop);
    part.bottom = this.#y + 1;
    part.perimeter += 2 + 2 * length;
    const { channels } = this.options;
    if (pixels === null) return;
    for (let i = start * channels; i < stop * channels; i++) part.sums[i % channels]! += pixels[i]!;
  }

  /** The older of two parts takes the other up. */
  #merge(a: Part, b: Part): Part {
    if (a === b) return a;
    const [into, from] = a.serial < b.serial ? [a, b] : [b, a];
    from.forward = into;
    into.runs += from.runs;
    into.area += from.area;
    into.sumX += from.sumX;
    into.sumY += from.sumY;
    into.left = Math.min(into.left, from.left);
    into.right = Math.max(into.right, from.right);
    into.perimeter += from.perimeter;
    for (const [c, sum] of from.sums.entries()) into.sums[c]! += sum;
    for (const ring of from.rings) into.rings.push(ring);
    this.options.onMerge?.(from.serial, into.serial);
    return into;
  }

  /** The row above is left: a region that is not in the row below has ended. */
  #leave(): void {
    for (const run of this.#previous) {
      const part = rootOf(run.part);
      if (--part.runs === 0) this.#end(part);
    }
  }

  #end(part: Part): void {
    const { left, right, top, bottom, area, label, serial } = part;
    const id = ++this.#ids;
    this.options.onId?.(serial, id);
    this.options.onRegion({
      ...{ id, label, area, perimeter: part.perimeter },
      centroid: { x: part.sumX / area, y: part.sumY / area },
      box: { x: left, y: top, width: right - left, height: bottom - top },
      intensity: Array.from(part.sums, (sum) => sum / area),
      rings: outerFirst(part.rings),
    });
  }
}

/** Keeps a contour that is closed with its region. */
function keep(part: Part, contour: Int32Array | null): void {
  if (contour === null) return;
  for (const ring of splitAtPinches(contour)) part.rings.push(ring);
}

function outerFirst(rings: Int32Array[]): Int32Array[] {
  const outer = rings.findIndex((ring) => ringArea(ring) > 0);
  if (outer > 0) [rings[0], rings[outer]] = [rings[outer]!, rings[0]!];
  return rings;
}

/** Stands in until a run is known to belong to a part. */
const NONE = null as unknown as Part;

function rootOf(part: Part): Part {
  let root = part;
  while (root.forward !== null) root = root.forward;
  // Shortens the way for the next who asks.
  for (let at = part; at !== root; ) {
    const next = at.forward!;
    at.forward = root;
    at = next;
  }
  return root;
}
