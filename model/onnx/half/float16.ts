/** The greatest number of 16 bits (IEEE 754 binary16), of either sign. */
export const MAX_HALF = 65504;
/** The least number of 16 bits with 11 significant bits. */
const MIN_NORMAL = 2 ** -14;
/** The least number that is rounded to infinity. */
const INFINITE_FROM = 65520;

/** Whether a number is rounded to 16 bits as others are: to 11 significant bits. */
export const isNormalHalf = (value: number): boolean =>
  value === 0 || (Math.abs(value) >= MIN_NORMAL && Math.abs(value) <= MAX_HALF);

/** Whether all numbers are finite in 16 bits; small ones may be rounded to 0. */
export const areHalves = (values: Float32Array): boolean =>
  values.every((value) => Math.abs(value) < INFINITE_FROM);

/** Rounds floats to the nearest of 16 bits, the even one of two; the bits of each. */
export function halvesOf(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, halfBits);
}

/** @param bits of a float32 */
function halfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and more: infinity
  if (magnitude >= 0x38800000) return sign | roundedShift(magnitude - 0x38000000, 13);
  // below 2^-14, numbers of 16 bits are multiples of 2^-24
  const shift = 126 - (magnitude >>> 23);
  return shift > 24 ? sign : sign | roundedShift((magnitude & 0x7fffff) | 0x800000, shift);
}

/** `n` without its last bits, to the nearest, and the even one of two. */
function roundedShift(n: number, bits: number): number {
  const half = 2 ** (bits - 1);
  const odd = (n >>> bits) & 1;
  return (n + half - 1 + odd) >>> bits;
}

/** The floats of numbers of 16 bits. */
export function floatsOf(halves: Uint16Array): Float32Array {
  return Float32Array.from(halves, (bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >>> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
  });
}
