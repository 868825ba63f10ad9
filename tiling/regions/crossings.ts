import { type Drawing, SegmentGrid, side } from './drawing.js';

/**
 * Finds the segments that make a drawing an invalid polygon: those that meet others elsewhere than in a shared
 * corner, and those near holes that are outside the outer ring, or inside another hole. Rings were valid before
 * they were simplified, so that each has the right direction.
 * @param cell side of the cells of the grid that finds neighbours
 * @param reach how far a segment can be from what it replaces
 */
export function faultySegments(drawing: Drawing, cell: number, reach: number): Set<number> {
  const { x, y, next, previous, ring, shared } = drawing;
  const faulty = new Set<number>();
  const grid = new SegmentGrid(drawing, cell);
  const clusters = new Clusters(ring[ring.length - 1]! + 1);
  grid.pairs((s, t) => {
    const [sEnd, tEnd] = [next[s]!, next[t]!];
    if (Math.max(x[s]!, x[sEnd]!) < Math.min(x[t]!, x[tEnd]!)) return;
    if (Math.max(x[t]!, x[tEnd]!) < Math.min(x[s]!, x[sEnd]!)) return;
    if (Math.max(y[s]!, y[sEnd]!) < Math.min(y[t]!, y[tEnd]!)) return;
    if (Math.max(y[t]!, y[tEnd]!) < Math.min(y[s]!, y[sEnd]!)) return;
    let isValid: boolean;
    const joint = jointOf(drawing, s, t);
    if (joint) {
      isValid = !areOverlapping(drawing, ...joint);
      if (isValid && shared[s] && shared[t] && x[s] === x[t] && y[s] === y[t]) {
        isValid = isBeside(drawing, s, t) && isBeside(drawing, t, s);
        if (!isValid) faulty.add(previous[s]!).add(previous[t]!);
        clusters.join(ring[s]!, ring[t]!);
      }
    } else isValid = areApart(drawing, s, t);
    if (!isValid) faulty.add(s).add(t);
  });
  for (const corner of clusters.leftmost(drawing)) {
    const left = grid.leftOf(x[corner]!, y[corner]!);
    if (left >= 0 && side(x[left]!, y[left]!, x[next[left]!]!, y[next[left]!]!, x[corner]!, y[corner]!) > 0)
      continue;
    grid.near(x[corner]!, y[corner]!, reach, (segment) => faulty.add(segment));
  }
  return faulty;
}

/** The corner that two segments share, in their ring or where rings touch, and their other ends; null for none. */
function jointOf(
  { x, y, next, shared }: Drawing,
  s: number,
  t: number,
): [corner: number, a: number, b: number] | null {
  const [sEnd, tEnd] = [next[s]!, next[t]!];
  if (sEnd === t) return [t, s, tEnd];
  if (tEnd === s) return [s, t, sEnd];
  for (const [corner, a] of [
    [s, sEnd],
    [sEnd, s],
  ] as const) {
    for (const [other, b] of [
      [t, tEnd],
      [tEnd, t],
    ] as const) {
      if (shared[corner] && shared[other] && x[corner] === x[other] && y[corner] === y[other])
        return [corner, a, b];
    }
  }
  return null;
}

/** Whether two segments from a corner to a and to b have the same direction. */
function areOverlapping({ x, y }: Drawing, corner: number, a: number, b: number): boolean {
  const [cx, cy] = [x[corner]!, y[corner]!];
  if (side(cx, cy, x[a]!, y[a]!, x[b]!, y[b]!) !== 0) return false;
  return (x[a]! - cx) * (x[b]! - cx) + (y[a]! - cy) * (y[b]! - cy) > 0;
}

/** Whether, at a corner that two rings share, the ring of t is on the interior side of the ring of s. */
function isBeside({ x, y, next, previous }: Drawing, s: number, t: number): boolean {
  const [before, after] = [previous[s]!, next[s]!];
  const [bx, by, cx, cy, ax, ay] = [x[before]!, y[before]!, x[s]!, y[s]!, x[after]!, y[after]!];
  const isConvex = side(bx, by, cx, cy, ax, ay) > 0;
  return [previous[t]!, next[t]!].every((other) => {
    const [isInsideBefore, isInsideAfter] = [
      side(bx, by, cx, cy, x[other]!, y[other]!) > 0,
      side(cx, cy, ax, ay, x[other]!, y[other]!) > 0,
    ];
    return isConvex ? isInsideBefore && isInsideAfter : isInsideBefore || isInsideAfter;
  });
}

/** Whether two segments have no point in common. */
function areApart({ x, y, next }: Drawing, s: number, t: number): boolean {
  const [ax, ay, bx, by] = [x[s]!, y[s]!, x[next[s]!]!, y[next[s]!]!];
  const [cx, cy, dx, dy] = [x[t]!, y[t]!, x[next[t]!]!, y[next[t]!]!];
  const [c, d] = [Math.sign(side(ax, ay, bx, by, cx, cy)), Math.sign(side(ax, ay, bx, by, dx, dy))];
  if (c === d && c !== 0) return true;
  const [a, b] = [Math.sign(side(cx, cy, dx, dy, ax, ay)), Math.sign(side(cx, cy, dx, dy, bx, by))];
  if (a === b && a !== 0) return true;
  // Either they cross, or all four ends are on one line: the caller has checked that their boxes overlap.
  return false;
}

/** Groups of rings that touch each other, directly or through others: all are inside, or none (a union-find). */
class Clusters {
  readonly #parent: Int32Array;

  constructor(rings: number) {
    this.#parent = Int32Array.from({ length: rings }, (_, i) => i);
  }

  join(a: number, b: number): void {
    const [p, q] = [this.#root(a), this.#root(b)];
    this.#parent[Math.max(p, q)] = Math.min(p, q);
  }

  /** A leftmost corner of each cluster, except that of the outer ring. */
  leftmost({ x, ring }: Drawing): Iterable<number> {
    const found = new Map<number, number>();
    for (let i = 0; i < x.length; i++) {
      const cluster = this.#root(ring[i]!);
      if (cluster === 0) continue;
      const known = found.get(cluster);
      if (known === undefined || x[i]! < x[known]!) found.set(cluster, i);
    }
    return found.values();
  }

  #root(ring: number): number {
    let root = ring;
    while (this.#parent[root] !== root) root = this.#parent[root] = this.#parent[this.#parent[root]!]!;
    return root;
  }
}
