import type { Random } from './random.js';
import type { Seed } from './seeds.js';

/**
 * What the structure of a mutated image says must come of it:
 * - `refused`: what the image needs is gone, or claims what cannot be: a named 4xx;
 * - `agrees`: it may still be an image: the pixels of an independent decoder, or a named 4xx.
 */
export type Expectation = 'refused' | 'agrees';

export interface Mutation {
  /** What was changed, in words that find it again. */
  readonly what: string;
  readonly bytes: Buffer;
  readonly expect: Expectation;
}

export type Mutate = (seed: Seed, random: Random) => Mutation;

export const refused = (what: string, bytes: Buffer): Mutation => ({ what, bytes, expect: 'refused' });
export const agrees = (what: string, bytes: Buffer): Mutation => ({ what, bytes, expect: 'agrees' });

/** Some bytes of an interval, each with some of its bits flipped. */
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

/** Numbers that break what counts on them. */
export const ODD_NUMBERS = [
  0, 1, 2, 3, 7, 8, 16, 17, 255, 256, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
] as const;
