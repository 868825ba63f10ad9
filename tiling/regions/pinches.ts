/** A contour with fewer corners cannot touch itself: a hole of two pixels that touch by a corner has eight. */
const MIN_CORNERS = 8;

/**
 * Splits a contour that touches itself at corners into simple rings. A contour passes a corner twice where two
 * pixels of its region touch by that corner only. These pixels are also connected by sides elsewhere, so that the
 * part of the contour between both visits is enclosed by the region: it becomes a separate ring, which touches
 * the rest at that corner. The interior of the region stays connected.
 * @param ring x, y, …; its first corner is not repeated
 */
export function splitAtPinches(ring: Int32Array): Int32Array[] {
  if (ring.length < 2 * MIN_CORNERS) return [ring];
  const places = placesOf(ring);
  const pinches = repeatedIn(places);
  if (pinches.size === 0) return [ring];
  const rings: Int32Array[] = [];
  const path: number[] = [];
  /** The index in `path` of each pinch on it. */
  const visited = new Map<number, number>();
  for (const [i, place] of places.entries()) {
    const since = pinches.has(place) ? visited.get(place) : undefined;
    if (since !== undefined) {
      const loop = path.splice(since);
      for (const inner of loop) visited.delete(places[inner]!);
      rings.push(cornersAt(ring, loop));
    }
    if (pinches.has(place)) visited.set(place, path.length);
    path.push(i);
  }
  rings.push(cornersAt(ring, path));
  return rings;
}

/** Numbers corners by their position: the same number for the same place. */
function placesOf(ring: Int32Array): Float64Array {
  let [left, right] = [ring[0]!, ring[0]!];
  for (let i = 0; i < ring.length; i += 2) {
    left = Math.min(left, ring[i]!);
    right = Math.max(right, ring[i]!);
  }
  const width = right - left + 1;
  return Float64Array.from(
    { length: ring.length / 2 },
    (_, i) => ring[2 * i + 1]! * width + ring[2 * i]! - left,
  );
}

/** Finds the values that occur more than once, by sorting: a map would take many times the memory of a large ring. */
export function repeatedIn(places: Float64Array): Set<number> {
  const sorted = places.slice().sort();
  const repeated = new Set<number>();
  for (let i = 1; i < sorted.length; i++) if (sorted[i] === sorted[i - 1]) repeated.add(sorted[i]!);
  return repeated;
}

function cornersAt(ring: Int32Array, indices: readonly number[]): Int32Array {
  const corners = new Int32Array(2 * indices.length);
  for (const [i, at] of indices.entries()) {
    corners[2 * i] = ring[2 * at]!;
    corners[2 * i + 1] = ring[2 * at + 1]!;
  }
  return corners;
}
