import type { Augmentation } from './augment.js';
import type { Random } from './random.js';

/**
 * A geometric deformation of a square crop: the position that each of its pixels is sampled from. `x` and `y` hold
 * `side²` coordinates each, in px of the crop, and may lie outside it.
 */
export interface Warp {
  readonly side: number;
  readonly x: Float32Array;
  readonly y: Float32Array;
  /** Whether all coordinates are integers, so that nothing needs interpolation. */
  readonly exact: boolean;
}

/** A rectangle in px of the crop. */
export interface CropRect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** The smallest rectangle of whole pixels that contains every position of a warp. */
export function boundsOf({ x, y }: Warp): CropRect {
  const [left, right] = integersAround(x);
  const [top, bottom] = integersAround(y);
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

/** The integers next to all values: below the least and above the greatest, or equal to them. */
function integersAround(values: Float32Array): [number, number] {
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    least = Math.min(least, value);
    greatest = Math.max(greatest, value);
  }
  return [Math.floor(least), Math.ceil(greatest)];
}

/** Draws the geometric part of an augmentation, for a crop of `side` px. */
export function drawWarp(augmentation: Augmentation, side: number, random: Random): Warp {
  const { flip, transpose, rotate90, shift, scale, rotate, elastic, dense, denseSigma } = augmentation;
  const chance = (possible: boolean) => possible && random.next() < 0.5;
  const [mirrorX, mirrorY, swap] = [chance(flip), chance(flip), chance(transpose)];
  const quarters = rotate90 ? random.integer(4) : 0;
  const around = (range: number) => random.between(-range, range);
  const [moveX, moveY] = [around(shift) * side, around(shift) * side];
  const turn = (Math.PI / 180) * around(rotate);
  const zoom = 1 + around(scale);
  const smooth = elastic > 0 || dense > 0 || shift > 0 || scale > 0 || rotate > 0;

  // x' = a·x + b·y, y' = c·x + d·y about the crop's centre
  let [a, b, c, d] = [mirrorX ? -1 : 1, 0, 0, mirrorY ? -1 : 1];
  if (swap) [a, b, c, d] = [c, d, a, b];
  for (let i = 0; i < quarters; i++) [a, b, c, d] = [-c, -d, a, b];
  if (smooth) {
    const [cos, sin] = [Math.cos(turn) / zoom, Math.sin(turn) / zoom];
    [a, b, c, d] = [cos * a - sin * c, cos * b - sin * d, sin * a + cos * c, sin * b + cos * d];
  }
  const middle = (side - 1) / 2;
  const [x, y] = [new Float32Array(side * side), new Float32Array(side * side)];
  for (let v = 0, at = 0; v < side; v++) {
    const dy = v - middle;
    const [startX, startY] = [middle + moveX + b * dy, middle + moveY + d * dy];
    for (let u = 0; u < side; u++, at++) {
      const dx = u - middle;
      x[at] = startX + a * dx;
      y[at] = startY + c * dx;
    }
  }
  for (const field of [x, y]) {
    if (elastic > 0) addGridDisplacement(field, side, elastic, random);
    if (dense > 0) addDenseDisplacement(field, side, dense, denseSigma, random);
  }
  return { side, x, y, exact: !smooth };
}

/** Nodes of the displacement grid along each axis. */
const GRID = 3;

/** Adds normal displacements on a grid, interpolated by Keys' bicubic kernel (1981, a = −1/2). */
function addGridDisplacement(field: Float32Array, side: number, sigma: number, random: Random): void {
  const grid = Float64Array.from({ length: GRID * GRID }, () => sigma * random.normal());
  const weights = cubicWeights(side);
  const row = new Float64Array(GRID);
  for (let v = 0, at = 0; v < side; v++) {
    for (let i = 0; i < GRID; i++) {
      row[i] = 0;
      for (let j = 0; j < GRID; j++) row[i]! += weights[v * GRID + j]! * grid[j * GRID + i]!;
    }
    const [first, second, third] = [row[0]!, row[1]!, row[2]!];
    for (let u = 0; u < side; u++, at++) {
      const w = u * GRID;
      field[at]! += weights[w]! * first + weights[w + 1]! * second + weights[w + 2]! * third;
    }
  }
}

/** The weight of each grid node for each px of a line, `side · GRID`; the outermost nodes are repeated outwards. */
function cubicWeights(side: number): Float64Array {
  const weights = new Float64Array(side * GRID);
  const kernel = (t: number): number => {
    const s = Math.abs(t);
    if (s < 1) return 1.5 * s ** 3 - 2.5 * s ** 2 + 1;
    return s < 2 ? -0.5 * s ** 3 + 2.5 * s ** 2 - 4 * s + 2 : 0;
  };
  for (let u = 0; u < side; u++) {
    const at = side === 1 ? 0 : (u / (side - 1)) * (GRID - 1);
    for (let node = Math.floor(at) - 1; node <= Math.floor(at) + 2; node++) {
      weights[u * GRID + Math.min(GRID - 1, Math.max(0, node))]! += kernel(at - node);
    }
  }
  return weights;
}

/**
 * Adds one random displacement per pixel, blurred (Simard, Steinkraus and Platt 2003). The Gaussian blur is
 * approximated by three running means of the same total variance.
 */
function addDenseDisplacement(
  field: Float32Array,
  side: number,
  alpha: number,
  sigma: number,
  random: Random,
): void {
  let noise = Float32Array.from({ length: side * side }, () => random.between(-1, 1));
  const radius = Math.max(1, Math.round((Math.sqrt(4 * sigma ** 2 + 1) - 1) / 2));
  for (let pass = 0; pass < 3; pass++) {
    noise = runningMean(noise, side, radius); // it transposes: two calls blur rows and columns
    noise = runningMean(noise, side, radius);
  }
  for (let at = 0; at < field.length; at++) field[at]! += alpha * noise[at]!;
}

/** The mean of 2·radius + 1 px along each row, edge pixels repeated; the result is transposed. */
function runningMean(values: Float32Array, side: number, radius: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(values.length);
  const share = 1 / (2 * radius + 1);
  for (let v = 0; v < side; v++) {
    const row = v * side;
    const value = (u: number) => values[row + Math.min(side - 1, Math.max(0, u))]!;
    let sum = 0;
    for (let u = -radius; u <= radius; u++) sum += value(u);
    for (let u = 0; u < side; u++) {
      result[u * side + v] = sum * share;
      sum += value(u + radius + 1) - value(u - radius);
    }
  }
  return result;
}
