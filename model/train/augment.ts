import type { Random } from './random.js';

/** What is done at random to each crop. Lengths in px, intensities in [0, 1]; 0 or false is nothing. */
export interface Augmentation {
  readonly flip: boolean;
  readonly transpose: boolean;
  readonly rotate90: boolean;
  /** Moved by up to this share of the crop's side, scaled by up to 1 ± this, turned by up to ± degrees. */
  readonly shift: number;
  readonly scale: number;
  readonly rotate: number;
  /** The paper's: a 3×3 grid of normal displacements of this standard deviation, bicubic in between. */
  readonly elastic: number;
  /** A displacement of each pixel: uniform noise, blurred by `denseSigma`, times `dense`. */
  readonly dense: number;
  readonly denseSigma: number;
  /** Standard deviation of added normal noise, at most; its square is drawn evenly. */
  readonly noise: number;
  /** Each pixel is multiplied by 1 ± up to this. */
  readonly speckle: number;
  /** Added to all pixels, ± up to this. */
  readonly brightness: number;
  /** All pixels are multiplied, about mid-gray, by 1 ± up to this. */
  readonly contrast: number;
  /** Raised to the power of 2 ^ (± up to this). */
  readonly gamma: number;
}

export const NO_AUGMENTATION: Augmentation = {
  ...{ flip: false, transpose: false, rotate90: false, shift: 0, scale: 0, rotate: 0 },
  ...{ elastic: 0, dense: 0, denseSigma: 5, noise: 0, speckle: 0, brightness: 0, contrast: 0, gamma: 0 },
};

const dihedral = { ...NO_AUGMENTATION, flip: true, transpose: true, rotate90: true };

/** Sets of augmentations by name; docs/training.md tells where each comes from. */
export const AUGMENTATIONS = {
  none: NO_AUGMENTATION,
  dihedral: { ...dihedral, brightness: 0.1, contrast: 0.25 },
  paper: { ...dihedral, shift: 0.05, rotate: 15, elastic: 10, brightness: 0.1, contrast: 0.25 },
  'isbi-2012': {
    ...dihedral,
    ...{ shift: 0.0625, scale: 0.1, rotate: 45, dense: 35, denseSigma: 5 },
    ...{ noise: Math.sqrt(20) / 255, speckle: 0.1, brightness: 0.15, contrast: 0.15 },
  },
} as const satisfies Record<string, Augmentation>;

/**
 * Where each pixel of a square crop is taken from: `x` and `y`, `side²` each, in the px of the crop, which
 * they may leave. `exact` where they are whole numbers, so that nothing is interpolated.
 */
export interface Warp {
  readonly side: number;
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly exact: boolean;
}

/** Draws the geometric part of an augmentation. */
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

  // the four coefficients of x' = a·x + b·y, y' = c·x + d·y about the crop's centre
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
    if (elastic > 0) addCoarse(field, side, elastic, random);
    if (dense > 0) addDense(field, side, dense, denseSigma, random);
  }
  return { side, x, y, exact: !smooth };
}

/** Displacements at the 3×3 corners of four equal squares; between them, Keys' bicubic (1981, a = −1/2). */
const GRID = 3;

function addCoarse(field: Float32Array, side: number, sigma: number, random: Random): void {
  const grid = Float64Array.from({ length: GRID * GRID }, () => sigma * random.normal());
  const weights = cubicWeights(side);
  const row = new Float64Array(GRID);
  for (let v = 0, at = 0; v < side; v++) {
    for (let i = 0; i < GRID; i++) {
      row[i] = 0;
      for (let j = 0; j < GRID; j++) row[i]! += weights[v * GRID + j]! * grid[j * GRID + i]!;
    }
    const [first, second, third] = row as unknown as [number, number, number];
    for (let u = 0; u < side; u++, at++) {
      const w = u * GRID;
      field[at]! += weights[w]! * first + weights[w + 1]! * second + weights[w + 2]! * third;
    }
  }
}

/** For each px of a line, how much each node of the grid weighs; beyond its ends the last node goes on. */
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

/** Simard, Steinkraus and Platt (2003), the Gaussian as three running means of the same variance. */
function addDense(field: Float32Array, side: number, alpha: number, sigma: number, random: Random): void {
  let noise = Float32Array.from({ length: side * side }, () => random.between(-1, 1));
  const radius = Math.max(1, Math.round((Math.sqrt(4 * sigma ** 2 + 1) - 1) / 2));
  for (let pass = 0; pass < 3; pass++) {
    noise = runningMean(noise, side, radius); // along rows, and turned: so twice is both directions
    noise = runningMean(noise, side, radius);
  }
  for (let at = 0; at < field.length; at++) field[at]! += alpha * noise[at]!;
}

/** Means of 2·radius + 1 px along rows, the ends going on, transposed. */
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

/** Changes intensities of one crop in place, all channels alike but for noise; the result is in [0, 1]. */
export function changeIntensities(pixels: Float32Array, augmentation: Augmentation, random: Random): void {
  const { noise, speckle, brightness, contrast, gamma } = augmentation;
  const gain = 1 + random.between(-contrast, contrast);
  const bias = 0.5 * (1 - gain) + random.between(-brightness, brightness);
  const power = 2 ** random.between(-gamma, gamma);
  const deviation = noise * Math.sqrt(random.next());
  const normals = deviation > 0 ? NORMALS : null;
  if (power === 1 && gain === 1 && bias === 0 && deviation === 0 && speckle === 0) return;
  for (let at = 0; at < pixels.length; at++) {
    let value = power === 1 ? pixels[at]! : pixels[at]! ** power;
    value = value * gain + bias;
    if (speckle > 0) value *= 1 + speckle * (2 * random.next() - 1);
    if (normals !== null) value += deviation * normals[random.integer(normals.length)]!;
    pixels[at] = value < 0 ? 0 : value > 1 ? 1 : value;
  }
}

/** Quantiles of the standard normal distribution: one draw a pixel is a look into this table. */
const NORMALS = normalQuantiles(4096);

function normalQuantiles(count: number): Float32Array {
  // sorted sums of many draws would be noisy; the distribution function is summed up and inverted instead
  const [low, high, steps] = [-6, 6, 120_000];
  const width = (high - low) / steps;
  const density = (z: number) => Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  const result = new Float32Array(count);
  let below = 0;
  for (let i = 0, k = 0; i < steps && k < count; i++) {
    const z = low + (i + 0.5) * width;
    below += density(z) * width;
    while (k < count && below >= (k + 0.5) / count) result[k++] = z;
  }
  return result;
}
