/**
 * Contours that grow while rows come from above: linked lists of corners, in arrays whose places are reused.
 * Contours are directed, with their region on the right as y runs downwards, so that outer rings have positive
 * areas by the shoelace formula, and holes negative ones.
 *
 * An open contour has two ends in the lowest row so far:
 *
 *     left strand  (goes up from its first corner)
 *     right strand (comes down to its last corner)
 */
export class Contours {
  #x = new Int32Array(1024);
  #y = new Int32Array(1024);
  #next = new Int32Array(1024);
  /** The other end of an open contour, by either end. */
  #other = new Int32Array(1024);
  #free: number[] = [];
  #used = 0;

  /** Begins a contour whose left strand is at x below row y, and whose right strand is at `toX`. Returns its ends. */
  begin(x: number, toX: number, y: number): { readonly first: number; readonly last: number } {
    const first = this.#corner(x, y);
    const last = this.#corner(toX, y);
    this.#next[first] = last;
    this.#other[first] = last;
    this.#other[last] = first;
    return { first, last };
  }

  /** Bends the left strand that begins with `first`: below row y it is at x. Returns its new first corner. */
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

  /** Bends the right strand that ends with `last`: below row y it is at x. Returns its new last corner. */
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
   * Joins the right strand at x to the left strand at `toX`, in row y: two contours become one, or one is closed.
   * @returns the closed contour as x, y, …, without repeating its first corner; null where none is
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

/** The area of a ring of corners x, y, … (shoelace formula); negative for a hole. */
export function ringArea(ring: ArrayLike<number>): number {
  let twice = 0;
  for (let i = 0, j = ring.length - 2; i < ring.length; j = i, i += 2) {
    twice += ring[j]! * ring[i + 1]! - ring[i]! * ring[j + 1]!;
  }
  return twice / 2;
}
