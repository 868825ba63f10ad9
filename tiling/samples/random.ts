/** A well-mixed 32-bit hash of two integers and a seed: noise that is the same for every region. */
export function hash(x: number, y: number, seed: number): number {
  let h = Math.imul(x, 0x85ebca6b) ^ Math.imul(y, 0xc2b2ae35) ^ Math.imul(seed + 1, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return (h ^ (h >>> 15)) >>> 0;
}

/** A uniformly distributed number in [0, 1), by `hash`. */
export function uniform(x: number, y: number, seed: number): number {
  return hash(x, y, seed) / 2 ** 32;
}

/** Nearly Gaussian noise with mean 0 and the given standard deviation: the sum of the four bytes of `hash`. */
export function grain(x: number, y: number, seed: number, deviation: number): number {
  const h = hash(x, y, seed);
  const sum = (h & 255) + ((h >>> 8) & 255) + ((h >>> 16) & 255) + (h >>> 24);
  return ((sum - 510) / 148) * deviation;
}
