import type { Size } from '../geometry.js';
import { faultySegments } from './crossings.js';
import type { Drawing } from './drawing.js';
import { moveToArea, roundToArea } from './equal-area.js';
import { repeatedIn } from './pinches.js';

/** The resolution of simplified corners: they are rounded to this fraction of a px. */
const UNITS_PER_PX = 10_000;
/** Side of the cells of the grid that finds neighbours. */
const CELL_PX = 8;
/** Share of the tolerance that dropped corners may take; the rest is for the move that preserves the area. */
const DROP_SHARE = 0.75;
/** Limit of that move: corners off the image's border must stay off it. */
const MAX_MOVE_PX = 0.5;
/** Dropped corners between two kept ones: limits the time that finding the furthest takes. */
const MAX_RUN = 4096;
/** Rounds in which a crossing segment gets one corner back; later it gets all of its own. */
const GENTLE_ROUNDS = 3;
/** Rounds after which a ring that still crosses gets back all its original corners. */
const MAX_ROUNDS = 8;

/**
 * Simplifies the rings of a region by the algorithm of Douglas and Peucker (1973), extended: no corner of the
 * region's outline is further than `tolerance` px from the simplified one, the polygon stays valid, and each ring
 * preserves its area, up to the rounding of its corners to 1/10,000 px. Where simplified rings would cross each
 * other or themselves, they keep more corners. Neighbouring regions are simplified independently: their borders
 * may differ by the tolerance.
 * @param rings a valid polygon of pixels' corners; not changed
 * @param image whose border corners are not moved off
 */
export function simplifyRings(
  rings: readonly Int32Array[],
  tolerance: number,
  image: Size,
): readonly ArrayLike<number>[] {
  if (tolerance <= 0 || rings.every((ring) => ring.length <= 8)) return rings;
  const outline = new Outline(rings, tolerance, image);
  const reach = (tolerance + 1) * UNITS_PER_PX;
  for (let round = 0; round < MAX_ROUNDS + 2; round++) {
    const { drawing, corner } = outline.draw();
    const faulty = faultySegments(drawing, CELL_PX * UNITS_PER_PX, reach);
    if (faulty.size === 0) return outline.ringsOf(drawing);
    for (const segment of faulty) {
      if (round < MAX_ROUNDS) outline.refine(corner[segment]!, round >= GENTLE_ROUNDS);
      else outline.restore(drawing.ring[segment]!);
    }
  }
  return rings;
}

/** A polygon of which some corners are dropped, and the others are moved to preserve areas. */
class Outline {
  readonly #x: Int32Array;
  readonly #y: Int32Array;
  /** The index of each ring's first corner, and the number of all corners. */
  readonly #starts: number[] = [0];
  readonly #kept: Uint8Array;
  readonly #shared: Uint8Array;
  readonly #movable: Uint8Array;
  readonly #ring: Int32Array;

  constructor(
    rings: readonly Int32Array[],
    private readonly tolerance: number,
    image: Size,
  ) {
    for (const ring of rings) this.#starts.push(this.#starts.at(-1)! + ring.length / 2);
    const corners = this.#starts.at(-1)!;
    this.#x = new Int32Array(corners);
    this.#y = new Int32Array(corners);
    this.#ring = new Int32Array(corners);
    for (const [r, ring] of rings.entries()) {
      const start = this.#starts[r]!;
      for (let i = 0; i < ring.length / 2; i++) {
        this.#x[start + i] = ring[2 * i]!;
        this.#y[start + i] = ring[2 * i + 1]!;
        this.#ring[start + i] = r;
      }
    }
    const places = Float64Array.from(this.#x, (x, i) => this.#y[i]! * (image.width + 1) + x);
    const repeated = repeatedIn(places);
    this.#shared = Uint8Array.from(places, (place) => Number(repeated.has(place)));
    this.#movable = Uint8Array.from(this.#x, (x, i) => {
      const y = this.#y[i]!;
      return Number(!this.#shared[i] && x > 0 && y > 0 && x < image.width && y < image.height);
    });
    this.#kept = this.#shared.slice();
    for (let r = 0; r < rings.length; r++) this.#thin(r);
  }

  /** Draws the kept corners, moved to preserve each ring's area; `corner` says which original corner each one is. */
  draw(): { readonly drawing: Drawing; readonly corner: Int32Array } {
    const rings = this.#starts.slice(1).map((_, r) => this.#drawRing(r));
    const corners = rings.reduce((sum, { at }) => sum + at.length, 0);
    const drawing = {
      x: new Float64Array(corners),
      y: new Float64Array(corners),
      next: new Int32Array(corners),
      previous: new Int32Array(corners),
      ring: new Int32Array(corners),
      shared: new Uint8Array(corners),
    };
    const corner = new Int32Array(corners);
    let start = 0;
    for (const [r, { at, x, y }] of rings.entries()) {
      for (const [i, c] of at.entries()) {
        drawing.x[start + i] = x[i]!;
        drawing.y[start + i] = y[i]!;
        drawing.next[start + i] = start + ((i + 1) % at.length);
        drawing.previous[start + i] = start + ((i + at.length - 1) % at.length);
        drawing.ring[start + i] = r;
        drawing.shared[start + i] = this.#shared[c]!;
        corner[start + i] = c;
      }
      start += at.length;
    }
    return { drawing, corner };
  }

  /** The rings of a drawing, as x, y, … in px. */
  ringsOf({ x, y, ring }: Drawing): Float64Array[] {
    const rings: number[][] = this.#starts.slice(1).map(() => []);
    for (let i = 0; i < x.length; i++) rings[ring[i]!]!.push(x[i]! / UNITS_PER_PX, y[i]! / UNITS_PER_PX);
    return rings.map((corners) => Float64Array.from(corners));
  }

  /** Brings the segment that begins at a corner closer to the outline, or fully back to it. */
  refine(from: number, fully: boolean): void {
    if (!fully && this.#split(from)) return;
    const to = this.#nextKept(from);
    for (let i = from; i !== to; i = this.#after(i)) {
      this.#kept[i] = 1;
      this.#movable[i] = 0;
    }
    this.#movable[to] = 0;
  }

  /** Restores all corners of a ring. */
  restore(ring: number): void {
    this.#kept.fill(1, this.#starts[ring], this.#starts[ring + 1]);
  }

  /** Drops corners of a ring, by the algorithm of Douglas and Peucker. */
  #thin(ring: number): void {
    const [start, end] = [this.#starts[ring]!, this.#starts[ring + 1]!];
    if (end - start <= 4) {
      this.#kept.fill(1, start, end);
      return;
    }
    // A ring has no ends: its first corner, and the one furthest from it, are kept.
    let [far, most] = [start, 0];
    for (let i = start; i < end; i++) {
      const distance = Math.hypot(this.#x[i]! - this.#x[start]!, this.#y[i]! - this.#y[start]!);
      if (distance > most) [far, most] = [i, distance];
      if ((i - start) % MAX_RUN === 0) this.#kept[i] = 1;
    }
    this.#kept[far] = 1;
    const segments: number[] = [];
    for (let i = start; i < end; i++) if (this.#kept[i]) segments.push(i);
    this.#keepWithin(segments);
  }

  /** Keeps the corner furthest from the segment that begins at `from`; false where none was dropped from it. */
  #split(from: number): boolean {
    const furthest = this.#furthest(from, this.#nextKept(from), -1);
    if (furthest < 0) return false;
    this.#kept[furthest] = 1;
    this.#keepWithin([from, furthest]); // either half may be further from the outline than the whole was
    return true;
  }

  /** Splits the segments that begin at these corners until the outline is within the tolerance. */
  #keepWithin(segments: number[]): void {
    for (let from = segments.pop(); from !== undefined; from = segments.pop()) {
      const furthest = this.#furthest(from, this.#nextKept(from), this.tolerance * DROP_SHARE);
      if (furthest < 0) continue;
      this.#kept[furthest] = 1;
      segments.push(from, furthest);
    }
  }

  /** Draws the kept corners of a ring, in units; keeps more until its area can be preserved. */
  #drawRing(ring: number): { readonly at: number[]; readonly x: Float64Array; readonly y: Float64Array } {
    const [start, end] = [this.#starts[ring]!, this.#starts[ring + 1]!];
    let twice = 0;
    for (let i = start, j = end - 1; i < end; j = i++) {
      twice += this.#x[j]! * this.#y[i]! - this.#x[i]! * this.#y[j]!;
    }
    for (;;) {
      const at: number[] = [];
      for (let i = start; i < end; i++) if (this.#kept[i]) at.push(i);
      const x = Float64Array.from(at, (i) => this.#x[i]!);
      const y = Float64Array.from(at, (i) => this.#y[i]!);
      const movable = at.map((i) => this.#movable[i]!);
      const most = Math.min(MAX_MOVE_PX, this.tolerance * (1 - DROP_SHARE));
      if (at.length === end - start || (at.length > 2 && moveToArea(x, y, movable, twice, most))) {
        for (let i = 0; i < at.length; i++) {
          x[i]! *= UNITS_PER_PX;
          y[i]! *= UNITS_PER_PX;
        }
        roundToArea(x, y, movable, twice * UNITS_PER_PX ** 2);
        return { at, x, y };
      }
      for (const i of at) this.#split(i);
    }
  }

  #nextKept(corner: number): number {
    let next = this.#after(corner);
    while (!this.#kept[next]) next = this.#after(next);
    return next;
  }

  #after(corner: number): number {
    const ring = this.#ring[corner]!;
    return corner + 1 === this.#starts[ring + 1] ? this.#starts[ring]! : corner + 1;
  }

  /** Finds the corner between two that is furthest from the line between them; −1 if none is further than `least`. */
  #furthest(from: number, to: number, least: number): number {
    let [worst, most] = [-1, least];
    const [fromX, fromY] = [this.#x[from]!, this.#y[from]!];
    const [dx, dy] = [this.#x[to]! - fromX, this.#y[to]! - fromY];
    const length = dx * dx + dy * dy;
    for (let i = this.#after(from); i !== to; i = this.#after(i)) {
      const [x, y] = [this.#x[i]! - fromX, this.#y[i]! - fromY];
      const along = length === 0 ? 0 : Math.min(1, Math.max(0, (x * dx + y * dy) / length));
      const distance = Math.hypot(x - along * dx, y - along * dy);
      if (distance > most) [worst, most] = [i, distance];
    }
    return worst;
  }
}
