import { type Drawing, SegmentGrid, side } from './drawing.js';

/**
 * The segments that keep a drawing from being a valid polygon: those that meet others but at the corner that
 * they share, and those near holes that are not within the shell, or within another hole. Rings have been
 * valid before they were simplified, so each runs the right way.
 * @param cell side of the cells of the grid that finds neighbours
 * @param reach how far a segment may be from what it replaces
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
    let fine: boolean;
    const joint = jointOf(drawing, s, t);
    if (joint) {
      fine = !overlap(drawing, ...joint);
      if (fine && shared[s] && shared[t] && x[s] === x[t] && y[s] === y[t]) {
        fine = besides(drawing, s, t) && besides(drawing, t, s);
        if (!fine) faulty.add(previous[s]!).add(previous[t]!);
        clusters.join(ring[s]!, ring[t]!);
      }
    } else fine = apart(drawing, s, t);
    if (!fine) faulty.add(s).add(t);
  });
  for (const corner of clusters.leftmost(drawing)) {
    const left = grid.leftOf(x[corner]!, y[corner]!);
    if (left >= 0 && side(x[left]!, y[left]!, x[next[left]!]!, y[next[left]!]!, x[corner]!, y[corner]!) > 0)
      continue;
    grid.near(x[corner]!, y[corner]!, reach, (segment) => faulty.add(segment));
  }
  return faulty;
}

/** Where two segments may meet, the corner and their other ends: in their ring's order, or where rings touch. */
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

/** Whether a and b are in the same direction from the corner. */
function overlap({ x, y }: Drawing, corner: number, a: number, b: number): boolean {
  const [cx, cy] = [x[corner]!, y[corner]!];
  if (side(cx, cy, x[a]!, y[a]!, x[b]!, y[b]!) !== 0) return false;
  return (x[a]! - cx) * (x[b]! - cx) + (y[a]! - cy) * (y[b]! - cy) > 0;
}

/** Whether, at a corner that two rings share, the ring of t is on the side of the ring of s that interiors are on. */
function besides({ x, y, next, previous }: Drawing, s: number, t: number): boolean {
  const [before, after] = [previous[s]!, next[s]!];
  const [bx, by, cx, cy, ax, ay] = [x[before]!, y[before]!, x[s]!, y[s]!, x[after]!, y[after]!];
  const convex = side(bx, by, cx, cy, ax, ay) > 0;
  return [previous[t]!, next[t]!].every((other) => {
    const [in_, out] = [
      side(bx, by, cx, cy, x[other]!, y[other]!) > 0,
      side(cx, cy, ax, ay, x[other]!, y[other]!) > 0,
    ];
    return convex ? in_ && out : in_ || out;
  });
}

/** Whether two segments have no point in common. */
function apart({ x, y, next }: Drawing, s: number, t: number): boolean {
  const [ax, ay, bx, by] = [x[s]!, y[s]!, x[next[s]!]!, y[next[s]!]!];
  const [cx, cy, dx, dy] = [x[t]!, y[t]!, x[next[t]!]!, y[next[t]!]!];
  const [c, d] = [Math.sign(side(ax, ay, bx, by, cx, cy)), Math.sign(side(ax, ay, bx, by, dx, dy))];
  if (c === d && c !== 0) return true;
  const [a, b] = [Math.sign(side(cx, cy, dx, dy, ax, ay)), Math.sign(side(cx, cy, dx, dy, bx, by))];
  if (a === b && a !== 0) return true;
  // All on one line: the boxes of both have been found to overlap.
  return false;
}

/** Rings that touch each other: where one of them is, all are. */
class Clusters {
  readonly #parent: Int32Array;

  constructor(rings: number) {
    this.#parent = Int32Array.from({ length: rings }, (_, i) => i);
  }

  join(a: number, b: number): void {
    const [p, q] = [this.#root(a), this.#root(b)];
    this.#parent[Math.max(p, q)] = Math.min(p, q);
  }

  /** A leftmost corner of each cluster, but for the shell's. */
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
