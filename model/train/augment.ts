import type { Random } from './random.js';

/** The eight symmetries of the square: bit 0 mirrors columns, bit 1 mirrors rows, bit 2 swaps them. */
export type Symmetry = number;

export function randomSymmetry(random: Random): Symmetry {
  return random.integer(8);
}

/** A square picture of `side` px, interleaved, turned or mirrored. */
export function applySymmetry<A extends Uint8Array | Uint16Array>(
  data: A,
  side: number,
  channels: number,
  symmetry: Symmetry,
): A {
  if (symmetry === 0) return data;
  const result = data.slice() as A;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const [a, b] = symmetry & 4 ? [y, x] : [x, y];
      const fromX = symmetry & 1 ? side - 1 - a : a;
      const fromY = symmetry & 2 ? side - 1 - b : b;
      for (let c = 0; c < channels; c++) {
        result[(y * side + x) * channels + c] = data[(fromY * side + fromX) * channels + c]!;
      }
    }
  }
  return result;
}

/** Contrast within ±25 % about mid-gray and brightness within ±0.1, as a gain and a bias. */
export function randomIntensity(random: Random): { readonly gain: number; readonly bias: number } {
  const gain = random.between(0.75, 1.25);
  return { gain, bias: 0.5 * (1 - gain) + random.between(-0.1, 0.1) };
}
