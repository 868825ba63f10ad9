/**
 * Corners of contours that grow while rows come from above, in arrays that are used again: a corner
 * knows the next one. Contours are directed, with their region on the right as rows run downwards, so
 * that outer rings have positive areas by the shoelace formula, and holes negative ones.
 *
 * A contour that is still open starts and ends at the lowest row so far, and has two ends there:
 *
 *     left strand  (goes up: its first corner is the highest one that it has reached)
 *     right strand (comes down: its last corner is the one that it left last)
 */
export class Contours {
  #x = new Int32Array(1024);
  #y = new Int32Array(1024);
  #next = new Int32Array(1024);
  /** Of a contour's first corner, its last, and of its last, its first; only at the ends. */
  #other = new Int32Array(1024);
  #free: number[] = [];
  #used = 0;

  /** A left strand turns at (x, y) and comes down again at (toX, y): a contour begins. Returns its ends. */
  begin(x: number, toX: number, y: number): { readonly first: number; readonly last: number } {
    const first = this.#corner(x, y);
    const last = this.#corner(toX, y);
    this.#next[first] = last;
    this.#other[first] = last;
    this.#other[last] = first;
    return { first, last };
  }

  /** The left strand that begins with `first` bends: below row y it is at x. Returns its new first corner. */
  bendLeft(first: number, fromX: number, x: number, y: number): number {
    const upper = this.#corner(fromX, y);
    const lower = this.#corner(x, y);
    this.#next[lower] = upper;
    this.#next[upper] = first;
    const last = this.#other[first]!;
    this.#other[lower] = last;
    this.#other[last] = lower;
    return lower;
  }

  /** The right strand that ends with `last` bends: below row y it is at x. Returns its new last corner. */
  bendRight(last: number, fromX: number, x: number, y: number): number {
    const upper = this.#corner(fromX, y);
    const lower = this.#corner(x, y);
    this.#next[last] = upper;
    this.#next[upper] = lower;
    const first = this.#other[last]!;
    this.#other[lower] = first;
    this.#other[first] = lower;
    return lower;
  }

  /**
   * A right strand at x turns to become the left strand at `toX`: two contours become one, or one is
   * closed, and is returned as x, y, x, y, … without its first corner again.
   */
  join(last: number, x: number, first: number, toX: number, y: number): Int32Array | null {
    const down = this.#corner(x, y);
    const up = this.#corner(toX, y);
    this.#next[last] = down;
    this.#next[down] = up;
    this.#next[up] = first;
    const start = this.#other[last]!;
    if (start === first) return this.#take(first);
    const end = this.#other[first]!;
    this.#other[start] = end;
    this.#other[end] = start;
    return null;
  }

  #take(first: number): Int32Array {
    const ring: number[] = [];
    let corner = first;
    do {
      ring.push(this.#x[corner]!, this.#y[corner]!);
      this.#free.push(corner);
      corner = this.#next[corner]!;
    } while (corner !== first);
    return Int32Array.from(ring);
  }

  #corner(x: number, y: number): number {
    const corner = this.#free.pop() ?? this.#used++;
    if (corner >= this.#x.length) {
      const grown = (array: Int32Array) => {
        const larger = new Int32Array(array.length * 2);
        larger.set(array);
        return larger;
      };
      [this.#x, this.#y, this.#next, this.#other] = [
        grown(this.#x),
        grown(this.#y),
        grown(this.#next),
        grown(this.#other),
      ] as const;
    }
    this.#x[corner] = x;
    this.#y[corner] = y;
    return corner;
  }
}

/** The area within a ring of corners x, y, …; negative for one that runs the other way. */
export function ringArea(ring: ArrayLike<number>): number {
  let twice = 0;
  for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
    twice += ring[j]! * ring[i + 1]! - ring[i]! * ring[j + 1]!;
  }
  return twice / 2;
}
