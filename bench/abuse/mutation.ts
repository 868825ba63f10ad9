import type { Random } from './random.js';
import type { Seed } from './seeds.js';

/**
 * The response that a mutated image requires:
 * - `refused`: a documented 4xx, since required data is missing or a claim is impossible;
 * - `agrees`: a documented 4xx, or the pixels that an independent decoder reads, since the image may still be valid.
 */
export type Expectation = 'refused' | 'agrees';

/** A damaged image, and the response that it requires. */
export interface Mutation {
  /** What was changed, and where: enough to find it in the file. */
  readonly what: string;
  readonly bytes: Buffer;
  readonly expect: Expectation;
}

/** Damages an image in one place; the same draws give the same mutation. */
export type Mutate = (seed: Seed, random: Random) => Mutation;

export const refused = (what: string, bytes: Buffer): Mutation => ({ what, bytes, expect: 'refused' });
export const agrees = (what: string, bytes: Buffer): Mutation => ({ what, bytes, expect: 'agrees' });

/** Flips some bits of one to four random bytes of [start, stop). */
export function flipBytes(
  bytes: Buffer,
  start: number,
  stop: number,
  random: Random,
): { readonly what: string; readonly bytes: Buffer } {
  const flipped = Buffer.from(bytes);
  const places = Array.from({ length: random.between(1, 4) }, () => random.between(start, stop - 1));
  for (const at of places) flipped[at]! ^= random.between(1, 255);
  return { what: `bytes ${places.join(', ')} flipped`, bytes: flipped };
}

/** Flips bits anywhere from `start` to the end. */
export function flipAnywhere({ bytes }: Seed, random: Random, start = 0): Mutation {
  const { what, bytes: changed } = flipBytes(bytes, start, bytes.length, random);
  return agrees(what, changed);
}

/** Cuts the end off; refused if fewer than `needed` bytes remain. */
export function truncate({ bytes }: Seed, random: Random, needed: number): Mutation {
  const stop = random.chance(0.3) ? bytes.length - random.between(1, 40) : random.below(bytes.length);
  return (stop < needed ? refused : agrees)(
    `cut to ${stop} of ${bytes.length} bytes`,
    bytes.subarray(0, stop),
  );
}

/** Numbers that are likely to break counts, sizes and offsets. */
export const ODD_NUMBERS = [
  0, 1, 2, 3, 7, 8, 16, 17, 255, 256, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
] as const;
