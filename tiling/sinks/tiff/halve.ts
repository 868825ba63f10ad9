/** The pixels of a pyramid's level. */
export type Values = Uint8Array | Uint16Array | Uint32Array | Float32Array;

/** How four pixels become one: by their most frequent value, so that none is invented, or by their mean. */
export type Reduction = 'majority' | 'mean';

/**
 * Halves both sides of interleaved pixels. An odd side is rounded up; its last pixel counts twice.
 * @param data `width · height · channels` values; `majority` supports one channel only
 */
export function halve<Array extends Values>(
  data: Array,
  width: number,
  height: number,
  channels: number,
  reduction: Reduction,
): Array {
  const [w, h] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const half = new (data.constructor as new (n: number) => Array)(w * h * channels);
  const row = width * channels;
  const isInteger = !(data instanceof Float32Array);
  for (let y = 0; y < h; y++) {
    const top = 2 * y * row;
    const bottom = Math.min(2 * y + 1, height - 1) * row;
    for (let x = 0; x < w; x++) {
      const left = 2 * x * channels;
      const right = Math.min(2 * x + 1, width - 1) * channels;
      const to = (y * w + x) * channels;
      if (reduction === 'majority') {
        half[to] = majority(
          data[top + left]!,
          data[top + right]!,
          data[bottom + left]!,
          data[bottom + right]!,
        );
        continue;
      }
      for (let c = 0; c < channels; c++) {
        const sum =
          data[top + left + c]! +
          data[top + right + c]! +
          data[bottom + left + c]! +
          data[bottom + right + c]!;
        half[to + c] = isInteger ? (sum + 2) / 4 : sum / 4; // integer arrays truncate: adding 2 rounds
      }
    }
  }
  return half;
}

/** The most frequent of four; of equally frequent ones, the first in reading order. */
function majority(a: number, b: number, c: number, d: number): number {
  if (a === b || a === c || a === d) return a;
  if (b === c || b === d) return b;
  return c === d ? c : a;
}
