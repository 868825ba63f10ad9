/**
 * A ring with fewer corners, none of which was further than `tolerance` px from it (Douglas and Peucker,
 * 1973). Neighbouring regions are simplified each for itself: their borders may then differ a little.
 * @param ring x, y, … of at least three corners
 */
export function simplifyRing(ring: Int32Array, tolerance: number): Int32Array {
  const corners = ring.length / 2;
  if (tolerance <= 0 || corners <= 4) return ring;
  // A ring has no ends: its first corner and the one furthest from it stay.
  let far = 0;
  for (let i = 1; i < corners; i++) if (distanceFrom(ring, i, 0) > distanceFrom(ring, far, 0)) far = i;
  const kept = new Uint8Array(corners);
  kept[0] = kept[far] = 1;
  const open: [number, number][] = [
    [0, far],
    [far, corners],
  ];
  for (let part = open.pop(); part; part = open.pop()) {
    const [from, to] = part;
    let [worst, most] = [-1, tolerance];
    for (let i = from + 1; i < to; i++) {
      const distance = distanceFromLine(ring, i, from, to % corners);
      if (distance > most) [worst, most] = [i, distance];
    }
    if (worst < 0) continue;
    kept[worst] = 1;
    open.push([from, worst], [worst, to]);
  }
  const simple = ring.filter((_, i) => kept[i >> 1] === 1);
  return simple.length >= 6 ? simple : ring;
}

function distanceFrom(ring: Int32Array, i: number, j: number): number {
  return Math.hypot(ring[2 * i]! - ring[2 * j]!, ring[2 * i + 1]! - ring[2 * j + 1]!);
}

/** From the segment between two corners. */
function distanceFromLine(ring: Int32Array, i: number, from: number, to: number): number {
  const [x, y] = [ring[2 * i]! - ring[2 * from]!, ring[2 * i + 1]! - ring[2 * from + 1]!];
  const [dx, dy] = [ring[2 * to]! - ring[2 * from]!, ring[2 * to + 1]! - ring[2 * from + 1]!];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, (x * dx + y * dy) / length));
  return Math.hypot(x - along * dx, y - along * dy);
}
