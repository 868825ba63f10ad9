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
  const half = new (data.constructor as new (n: number) => Array)(
    Math.ceil(width / 2) * Math.ceil(height / 2) * channels,
  );
  if (reduction === 'mean') halveMeans(data, width, height, channels, half);
  else if (data instanceof Uint8Array && width % 4 === 0 && data.byteOffset % 4 === 0) {
    halveRuns(data, width, height, half as Uint8Array);
  } else halveLabels(data, width, height, half);
  return half;
}

function halveMeans(data: Values, width: number, height: number, channels: number, half: Values): void {
  const row = width * channels;
  const isInteger = !(data instanceof Float32Array);
  let to = 0;
  for (let y = 0; y < height; y += 2) {
    const top = y * row;
    const bottom = Math.min(y + 1, height - 1) * row;
    for (let x = 0; x < width; x += 2) {
      const left = x * channels;
      const right = Math.min(x + 1, width - 1) * channels;
      for (let c = 0; c < channels; c++) {
        const sum =
          data[top + left + c]! +
          data[top + right + c]! +
          data[bottom + left + c]! +
          data[bottom + right + c]!;
        half[to++] = isInteger ? (sum + 2) / 4 : sum / 4; // integer arrays truncate: adding 2 rounds
      }
    }
  }
}

function halveLabels(data: Values, width: number, height: number, half: Values): void {
  let to = 0;
  for (let y = 0; y < height; y += 2) {
    const top = y * width;
    const bottom = Math.min(y + 1, height - 1) * width;
    for (let x = 0; x < width; x += 2) {
      const right = Math.min(x + 1, width - 1);
      half[to++] = majority(data[top + x]!, data[top + right]!, data[bottom + x]!, data[bottom + right]!);
    }
  }
}

/** `halveLabels` for bytes, four columns at a time: most labels equal their neighbours, and need no comparing. */
function halveRuns(data: Uint8Array, width: number, height: number, half: Uint8Array): void {
  const words = new Int32Array(data.buffer, data.byteOffset, data.length >> 2);
  const pairs = new Uint16Array(half.buffer);
  const row = width >> 2;
  let to = 0;
  for (let y = 0; y < height; y += 2) {
    const top = y * row;
    const bottom = Math.min(y + 1, height - 1) * row;
    for (let x = 0; x < row; x++) {
      const above = words[top + x]!;
      const below = words[bottom + x]!;
      if (above === below && above === ((above << 8) | (above >>> 24))) {
        pairs[to++] = above; // the array truncates to two of the four equal bytes
        continue;
      }
      const [a, b] = [(top + x) * 4, (bottom + x) * 4];
      half[2 * to] = majority(data[a]!, data[a + 1]!, data[b]!, data[b + 1]!);
      half[2 * to + 1] = majority(data[a + 2]!, data[a + 3]!, data[b + 2]!, data[b + 3]!);
      to++;
    }
  }
}

/** The most frequent of four; of equally frequent ones, the first in reading order. */
function majority(a: number, b: number, c: number, d: number): number {
  if (a === b || a === c || a === d) return a;
  if (b === c || b === d) return b;
  return c === d ? c : a;
}
