/** Vertices x, y, … of a ring, without repeating the first. */
export type Ring = ArrayLike<number>;

interface Segment {
  readonly ring: number;
  readonly ax: number;
  readonly ay: number;
  readonly bx: number;
  readonly by: number;
}

/**
 * How a polygon violates OGC Simple Features (6.1.11), or null: rings are simple and correctly oriented,
 * touch each other only at points, holes lie within the shell and are disjoint, and the interior is
 * connected. Written from the definition, comparing all pairs of segments: for small polygons.
 * @param rings the shell, of positive area by the shoelace formula, then the holes, of negative area
 */
export function faultOf(rings: readonly Ring[]): string | null {
  for (const [i, ring] of rings.entries()) {
    if (ring.length < 6) return `ring ${i} has fewer than three corners`;
    const corners = new Set(cornersOf(ring).map(([x, y]) => `${x} ${y}`));
    if (corners.size * 2 !== ring.length) return `ring ${i} passes a corner twice`;
    const area = areaOf(ring);
    if (i === 0 ? area <= 0 : area >= 0) return `ring ${i} has an area of ${area}`;
  }
  const byRing = rings.map((ring, i) => segmentsOf(ring, i));
  const segments = byRing.flat();
  const touches = new Map<string, Set<number>>();
  for (const [i, s] of segments.entries()) {
    for (let j = i + 1; j < segments.length; j++) {
      const t = segments[j]!;
      const shared = common(s, t);
      if (shared === null) continue;
      if (shared === 'more')
        return `rings ${s.ring} and ${t.ring} share more than points near ${s.ax} ${s.ay}`;
      if (s.ring === t.ring) {
        const next = shared === `${s.bx} ${s.by}` && shared === `${t.ax} ${t.ay}`;
        const before = shared === `${s.ax} ${s.ay}` && shared === `${t.bx} ${t.by}`;
        if (!next && !before) return `ring ${s.ring} touches itself at ${shared}`;
      } else touches.set(shared, (touches.get(shared) ?? new Set()).add(s.ring).add(t.ring));
    }
  }
  for (const { ring, ax, ay, bx, by } of segments) {
    const [x, y] = [(ax + bx) / 2, (ay + by) / 2];
    for (const [i, other] of byRing.entries()) {
      if (i === ring || (ring === 0 && i > 0)) continue;
      if (holds(other, x, y) !== (i === 0)) return `ring ${ring} is on the wrong side of ring ${i}`;
    }
  }
  // A cycle of touching rings disconnects the interior: rings and points must form a forest.
  const group = new Map<string, string>();
  const rootOf = (name: string): string => {
    const up = group.get(name) ?? name;
    return up === name ? name : rootOf(up);
  };
  for (const [point, touching] of touches) {
    for (const ring of touching) {
      const [a, b] = [rootOf(point), rootOf(`ring ${ring}`)];
      if (a === b) return `the interior is cut at ${point}`;
      group.set(a, b);
    }
  }
  return null;
}

/** The area within a ring by the shoelace formula. */
export function areaOf(ring: Ring): number {
  return segmentsOf(ring, 0).reduce((sum, { ax, ay, bx, by }) => sum + ax * by - bx * ay, 0) / 2;
}

function cornersOf(ring: Ring): [number, number][] {
  return Array.from({ length: ring.length / 2 }, (_, i) => [ring[2 * i]!, ring[2 * i + 1]!]);
}

function segmentsOf(ring: Ring, index: number): Segment[] {
  const corners = cornersOf(ring);
  return corners.map(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length]!;
    return { ring: index, ax, ay, bx, by };
  });
}

/** The intersection of two segments: none, a point that is an end of one, or more than OGC permits in rings. */
function common(s: Segment, t: Segment): string | 'more' | null {
  if (Math.max(s.ax, s.bx) < Math.min(t.ax, t.bx) || Math.max(t.ax, t.bx) < Math.min(s.ax, s.bx)) return null;
  if (Math.max(s.ay, s.by) < Math.min(t.ay, t.by) || Math.max(t.ay, t.by) < Math.min(s.ay, s.by)) return null;
  const side = (x: number, y: number, { ax, ay, bx, by }: Segment) =>
    Math.sign((bx - ax) * (y - ay) - (by - ay) * (x - ax));
  const [s0, s1] = [side(t.ax, t.ay, s), side(t.bx, t.by, s)];
  const [t0, t1] = [side(s.ax, s.ay, t), side(s.bx, s.by, t)];
  const points = new Set<string>();
  const within = (x: number, y: number, { ax, ay, bx, by }: Segment) =>
    Math.min(ax, bx) <= x && x <= Math.max(ax, bx) && Math.min(ay, by) <= y && y <= Math.max(ay, by);
  if (s0 === 0 && within(t.ax, t.ay, s)) points.add(`${t.ax} ${t.ay}`);
  if (s1 === 0 && within(t.bx, t.by, s)) points.add(`${t.bx} ${t.by}`);
  if (t0 === 0 && within(s.ax, s.ay, t)) points.add(`${s.ax} ${s.ay}`);
  if (t1 === 0 && within(s.bx, s.by, t)) points.add(`${s.bx} ${s.by}`);
  if (points.size > 1) return 'more';
  if (points.size === 1) return [...points][0]!;
  return s0 * s1 < 0 && t0 * t1 < 0 ? 'more' : null;
}

/** Whether a point, on no segment, lies within a ring, by the even-odd rule. */
function holds(ring: readonly Segment[], x: number, y: number): boolean {
  let inside = false;
  for (const { ax, ay, bx, by } of ring) {
    if (ay > y !== by > y && x < ax + ((y - ay) * (bx - ax)) / (by - ay)) inside = !inside;
  }
  return inside;
}
