/**
 * Moves the corners of a ring by the same small distance, each in the direction that changes the area most, so
 * that the ring encloses a given area.
 * @param x, y corners in px, changed in place
 * @param movable 0 for corners that must stay
 * @param most limit of the distance
 * @returns whether that suffices; otherwise nothing is moved
 */
export function moveToArea(
  x: Float64Array,
  y: Float64Array,
  movable: ArrayLike<number>,
  twiceArea: number,
  most: number,
): boolean {
  const corners = x.length;
  /** Unit vectors of the moves. */
  const [alongX, alongY] = [new Float64Array(corners), new Float64Array(corners)];
  let twice = 0;
  for (let i = 0, j = corners - 1; i < corners; j = i++) {
    twice += x[j]! * y[i]! - x[i]! * y[j]!;
    if (!movable[i]) continue;
    const k = i + 1 === corners ? 0 : i + 1;
    // The gradient of the area is perpendicular to the line between both neighbours.
    const [gx, gy] = [y[k]! - y[j]!, x[j]! - x[k]!];
    const length = Math.hypot(gx, gy);
    if (length === 0) continue;
    alongX[i] = gx / length;
    alongY[i] = gy / length;
  }
  const missing = twiceArea - twice;
  if (missing === 0) return true;
  // Twice the area after a move by d: twice + linear · d + square · d².
  let [linear, square] = [0, 0];
  for (let i = 0, j = corners - 1; i < corners; j = i++) {
    linear += x[j]! * alongY[i]! + alongX[j]! * y[i]! - x[i]! * alongY[j]! - alongX[i]! * y[j]!;
    square += alongX[j]! * alongY[i]! - alongX[i]! * alongY[j]!;
  }
  const root = linear * linear + 4 * square * missing;
  if (linear <= 0 || root < 0) return false;
  const distance = (2 * missing) / (linear + Math.sqrt(root));
  if (Math.abs(distance) > most) return false;
  for (let i = 0; i < corners; i++) {
    x[i]! += distance * alongX[i]!;
    y[i]! += distance * alongY[i]!;
  }
  return true;
}

/**
 * Rounds the corners of a ring to integers, and moves some by one so that the area hardly changes.
 * @param x, y corners, changed in place
 * @param movable 0 for corners that are only rounded
 */
export function roundToArea(
  x: Float64Array,
  y: Float64Array,
  movable: ArrayLike<number>,
  twiceArea: number,
): void {
  const corners = x.length;
  let missing = twiceArea;
  for (let i = 0; i < corners; i++) {
    x[i] = Math.round(x[i]!);
    y[i] = Math.round(y[i]!);
  }
  // Relative to the first corner, so that products stay small.
  for (let i = 0, j = corners - 1; i < corners; j = i++) {
    missing -= (x[j]! - x[0]!) * (y[i]! - y[0]!) - (x[i]! - x[0]!) * (y[j]! - y[0]!);
  }
  for (let i = 0; i < corners && missing !== 0; i++) {
    if (!movable[i]) continue;
    const [j, k] = [i === 0 ? corners - 1 : i - 1, i + 1 === corners ? 0 : i + 1];
    for (const [of, gain] of [
      [x, y[k]! - y[j]!],
      [y, x[j]! - x[k]!],
    ] as const) {
      if (Math.abs(2 * missing) < Math.abs(gain) || gain === 0) continue;
      const step = Math.sign(missing) * Math.sign(gain);
      of[i]! += step;
      missing -= step * gain;
    }
  }
}
