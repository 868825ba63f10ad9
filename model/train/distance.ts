/** Stands for no distance at all. */
const FAR = 1e20;

/**
 * The exact squared Euclidean distance of each pixel to the nearest pixel `inside`, at least 1e20 if there is none.
 * After Felzenszwalb and Huttenlocher (2012): lower envelopes of parabolas along columns, then along rows.
 */
export function squaredDistances(
  inside: (x: number, y: number) => boolean,
  width: number,
  height: number,
): Float64Array {
  const result = new Float64Array(width * height);
  const longest = Math.max(width, height);
  const line = new Float64Array(longest);
  const apexes = new Int32Array(longest);
  const borders = new Float64Array(longest + 1);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) line[y] = inside(x, y) ? 0 : FAR;
    envelope(line, height, apexes, borders, (y, value) => {
      result[y * width + x] = value;
    });
  }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) line[x] = result[y * width + x]!;
    envelope(line, width, apexes, borders, (x, value) => {
      result[y * width + x] = value;
    });
  }
  return result;
}

/** For each q, the minimum of `line[p] + (q − p)²` over all p. */
function envelope(
  line: Float64Array,
  length: number,
  apexes: Int32Array,
  borders: Float64Array,
  put: (q: number, value: number) => void,
): void {
  let last = 0;
  apexes[0] = 0;
  borders[0] = Number.NEGATIVE_INFINITY;
  borders[1] = Number.POSITIVE_INFINITY;
  for (let q = 1; q < length; q++) {
    let meets: number;
    do {
      const p = apexes[last]!;
      meets = (line[q]! + q * q - (line[p]! + p * p)) / (2 * (q - p));
    } while (meets <= borders[last]! && --last >= 0);
    last++;
    apexes[last] = q;
    borders[last] = meets;
    borders[last + 1] = Number.POSITIVE_INFINITY;
  }
  for (let q = 0, k = 0; q < length; q++) {
    while (borders[k + 1]! < q) k++;
    const p = apexes[k]!;
    put(q, line[p]! + (q - p) ** 2);
  }
}
