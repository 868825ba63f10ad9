/**
 * The rings of a polygon in one list of corners, with integer coordinates: segment i goes from corner i to corner
 * `next[i]`.
 */
export interface Drawing {
  readonly x: Float64Array;
  readonly y: Float64Array;
  readonly next: Int32Array;
  readonly previous: Int32Array;
  /** The ring of each corner: 0 is the outer one. */
  readonly ring: Int32Array;
  /** 1 for corners that two rings share. */
  readonly shared: Uint8Array;
}

/** Twice the signed area of the triangle a, b, p: positive where p is on the interior side of a → b. Exact. */
export function side(ax: number, ay: number, bx: number, by: number, px: number, py: number): number {
  const [down, up] = [(bx - ax) * (py - ay), (by - ay) * (px - ax)];
  if (Math.abs(down) + Math.abs(up) < Number.MAX_SAFE_INTEGER) return down - up;
  const exact = BigInt(bx - ax) * BigInt(py - ay) - BigInt(by - ay) * BigInt(px - ax);
  return Number(exact);
}

/** Finds neighbouring segments of a drawing, by the cells of a square grid that each passes through. */
export class SegmentGrid {
  readonly #left: number;
  readonly #top: number;
  readonly #columns: number;
  readonly #size: number;
  /** `cell · segments + segment`, sorted. */
  readonly #entries: Float64Array;

  constructor(
    private readonly drawing: Drawing,
    size: number,
  ) {
    const { x, y } = drawing;
    let [left, top, right, bottom] = [x[0]!, y[0]!, x[0]!, y[0]!];
    for (let i = 1; i < x.length; i++) {
      left = Math.min(left, x[i]!);
      right = Math.max(right, x[i]!);
      top = Math.min(top, y[i]!);
      bottom = Math.max(bottom, y[i]!);
    }
    let side = size;
    while (((right - left) / side + 1) * ((bottom - top) / side + 1) * x.length > 2 ** 52) side *= 2;
    [this.#left, this.#top, this.#size] = [left, top, side];
    this.#columns = Math.floor((right - left) / side) + 1;
    const entries: number[] = [];
    for (let i = 0; i < x.length; i++) this.#visitCells(i, (cell) => entries.push(cell * x.length + i));
    this.#entries = Float64Array.from(entries).sort();
  }

  /** Visits each pair of segments that share a cell, once per cell. */
  pairs(visit: (a: number, b: number) => void): void {
    const entries = this.#entries;
    const segments = this.drawing.x.length;
    for (let from = 0, to = 0; from < entries.length; from = to) {
      const end = (Math.floor(entries[from]! / segments) + 1) * segments;
      for (to = from; to < entries.length && entries[to]! < end; to++) {
        for (let other = from; other < to; other++)
          visit(entries[other]! % segments, entries[to]! % segments);
      }
    }
  }

  /** Visits the segments in cells within `reach` of a point. */
  near(px: number, py: number, reach: number, visit: (segment: number) => void): void {
    const segments = this.drawing.x.length;
    const [first, last] = [this.#column(px - reach), this.#column(px + reach)];
    for (let row = this.#row(py - reach); row <= this.#row(py + reach); row++) {
      if (row < 0 || last < 0) continue;
      const cell = row * this.#columns;
      const end = (cell + Math.min(last, this.#columns - 1) + 1) * segments;
      for (let i = this.#find((cell + Math.max(0, first)) * segments); this.#entries[i]! < end; i++) {
        visit(this.#entries[i]! % segments);
      }
    }
  }

  /** Finds the segment that a ray from a point to the left meets first; −1 where there is none. */
  leftOf(px: number, py: number): number {
    const { x, y, next } = this.drawing;
    const segments = x.length;
    const row = this.#row(py) * this.#columns;
    let [best, bestX, bestSlope] = [-1, Number.NEGATIVE_INFINITY, 0];
    for (let i = this.#find((row + this.#column(px) + 1) * segments) - 1; i >= 0; i--) {
      const cell = Math.floor(this.#entries[i]! / segments);
      if (cell < row || bestX >= this.#left + (cell - row + 1) * this.#size) break;
      const segment = this.#entries[i]! % segments;
      const end = next[segment]!;
      // The ray runs just below the point, so that it passes no corner.
      if (y[segment]! > py === y[end]! > py) continue;
      const upper = y[segment]! < y[end]! ? segment : end;
      const slope = (x[end]! - x[segment]!) / (y[end]! - y[segment]!);
      const at = x[upper]! + (py - y[upper]!) * slope;
      if (at >= px || at < bestX || (at === bestX && slope <= bestSlope)) continue;
      [best, bestX, bestSlope] = [segment, at, slope];
    }
    return best;
  }

  #column(px: number): number {
    return Math.floor((px - this.#left) / this.#size);
  }

  #row(py: number): number {
    return Math.floor((py - this.#top) / this.#size);
  }

  /** The index of the first entry that is not less than a value. */
  #find(value: number): number {
    let [from, to] = [0, this.#entries.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#entries[middle]! < value) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** Visits the cells that a segment passes through. */
  #visitCells(segment: number, visit: (cell: number) => void): void {
    const { x, y, next } = this.drawing;
    const end = next[segment]!;
    const upper = y[segment]! <= y[end]! ? segment : end;
    const [ux, uy, lx, ly] = [x[upper]!, y[upper]!, x[segment + end - upper]!, y[segment + end - upper]!];
    const slope = ly === uy ? 0 : (lx - ux) / (ly - uy);
    const [least, most] = [Math.min(ux, lx), Math.max(ux, lx)];
    for (let row = this.#row(uy); row <= this.#row(ly); row++) {
      let [from, to] = [least, most];
      if (ly > uy) {
        const above = ux + (Math.max(uy, this.#top + row * this.#size) - uy) * slope;
        const below = ux + (Math.min(ly, this.#top + (row + 1) * this.#size) - uy) * slope;
        // One unit wider than computed, so that rounding misses no cell.
        from = Math.max(least, Math.min(above, below) - 1);
        to = Math.min(most, Math.max(above, below) + 1);
      }
      for (let column = this.#column(from); column <= this.#column(to); column++) {
        visit(row * this.#columns + column);
      }
    }
  }
}
