import type { PixelArray } from '../raster.js';
import { ringArea } from './contours.js';
import { splitAtPinches } from './pinches.js';

/** A region: a largest set of pixels of one class that are connected by their sides. */
export interface Region {
  /** From 1, in the order in which regions end; the value of its pixels in `instances`. */
  readonly id: number;
  /** The class. */
  readonly label: number;
  /** In px. */
  readonly area: number;
  /** The mean of its pixels' centres, in px from the image's corner. */
  readonly centroid: { readonly x: number; readonly y: number };
  /** Its bounding box, in px. */
  readonly box: { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
  /** The length of its borders along the pixels' sides, including those of its holes, in px. */
  readonly perimeter: number;
  /** The mean of its pixels in each channel of the image; empty where the sweep got no pixels. */
  readonly intensity: readonly number[];
  /**
   * Corners x, y, …: the outer ring, of positive area, then the holes. No ring passes a corner twice, but rings
   * may touch at corners. Empty where the sweep traces no contours.
   */
  readonly rings: readonly Int32Array[];
}

/**
 * The part of a region that has been seen so far. Parts that turn out to be connected are merged: one forwards to
 * the other (a union-find).
 */
export interface Part {
  forward: Part | null;
  /** From 0, in the order in which parts begin. */
  readonly serial: number;
  readonly label: number;
  /** Its runs in the last row; at 0 the region has ended. */
  runs: number;
  area: number;
  sumX: number;
  sumY: number;
  left: number;
  right: number;
  readonly top: number;
  bottom: number;
  perimeter: number;
  /** Of intensities, by channel. */
  sums: Float64Array;
  rings: Int32Array[];
}

/** Begins a part with a run of pixels in row `y`; `measure` counts the pixels. */
export function newPart(
  serial: number,
  { start, stop, label }: { readonly start: number; readonly stop: number; readonly label: number },
  y: number,
  channels: number,
): Part {
  return {
    forward: null,
    serial,
    label,
    runs: 1,
    area: 0,
    sumX: 0,
    sumY: 0,
    left: start,
    right: stop,
    top: y,
    bottom: y + 1,
    perimeter: 0,
    sums: new Float64Array(channels),
    rings: [],
  };
}

/** Adds a run of pixels in row `y` to a part. */
export function measure(
  part: Part,
  { start, stop }: { readonly start: number; readonly stop: number },
  y: number,
  pixels: PixelArray | null,
): void {
  const length = stop - start;
  part.area += length;
  part.sumX += (length * (start + stop)) / 2;
  part.sumY += length * (y + 0.5);
  part.left = Math.min(part.left, start);
  part.right = Math.max(part.right, stop);
  part.bottom = y + 1;
  part.perimeter += 2 + 2 * length;
  if (pixels === null) return;
  const channels = part.sums.length;
  for (let i = start * channels; i < stop * channels; i++) part.sums[i % channels]! += pixels[i]!;
}

/** Merges the younger of two different parts into the older one, which is returned first. */
export function merge(a: Part, b: Part): readonly [into: Part, from: Part] {
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
  return [into, from];
}

/** Follows a part to the one that it was merged into, and shortens the path for the next lookup. */
export function rootOf(part: Part): Part {
  let root = part;
  while (root.forward !== null) root = root.forward;
  for (let at = part; at !== root; ) {
    const next = at.forward!;
    at.forward = root;
    at = next;
  }
  return root;
}

/** Adds a closed contour to its region, if there is one. */
export function addContour(part: Part, contour: Int32Array | null): void {
  if (contour === null) return;
  for (const ring of splitAtPinches(contour)) part.rings.push(ring);
}

/** The region that a part is once it has ended. */
export function regionOf(part: Part, id: number): Region {
  const { label, area, left, right, top, bottom, perimeter } = part;
  return {
    id,
    label,
    area,
    centroid: { x: part.sumX / area, y: part.sumY / area },
    box: { x: left, y: top, width: right - left, height: bottom - top },
    perimeter,
    intensity: Array.from(part.sums, (sum) => sum / area),
    rings: outerFirst(part.rings),
  };
}

function outerFirst(rings: Int32Array[]): Int32Array[] {
  const outer = rings.findIndex((ring) => ringArea(ring) > 0);
  if (outer > 0) [rings[0], rings[outer]] = [rings[outer]!, rings[0]!];
  return rings;
}
