import type { Augmentation } from './augment.js';
import type { Random } from './random.js';

/**
 * Augments the intensities of one crop in place and clamps them to [0, 1]. Gamma, contrast and brightness are
 * drawn once for the crop, noise and speckle for each value.
 *
 * @param separate the number of its channels, where each is a picture in its own right, and has a gamma, contrast and
 *   brightness of its own. Default 1: colours change together
 */
export function jitterIntensities(
  pixels: Float32Array,
  augmentation: Augmentation,
  random: Random,
  separate = 1,
): void {
  for (let channel = 0; channel < separate; channel++) {
    jitterChannel(pixels, augmentation, random, channel, separate);
  }
}

function jitterChannel(
  pixels: Float32Array,
  augmentation: Augmentation,
  random: Random,
  from: number,
  stride: number,
): void {
  const { noise, speckle, brightness, contrast, gamma } = augmentation;
  const gain = 1 + random.between(-contrast, contrast);
  const bias = 0.5 * (1 - gain) + random.between(-brightness, brightness);
  const power = 2 ** random.between(-gamma, gamma);
  const deviation = noise * Math.sqrt(random.next());
  const normals = deviation > 0 ? NORMALS : null;
  if (power === 1 && gain === 1 && bias === 0 && deviation === 0 && speckle === 0) return;
  for (let at = from; at < pixels.length; at += stride) {
    let value = power === 1 ? pixels[at]! : pixels[at]! ** power;
    value = value * gain + bias;
    if (speckle > 0) value *= 1 + speckle * (2 * random.next() - 1);
    if (normals !== null) value += deviation * normals[random.integer(normals.length)]!;
    pixels[at] = value < 0 ? 0 : value > 1 ? 1 : value;
  }
}

/** Quantiles of the standard normal distribution: a sample costs one lookup instead of a logarithm and a cosine. */
const NORMALS = normalQuantiles(4096);

function normalQuantiles(count: number): Float32Array {
  // the density is integrated and inverted: sorting random samples would be noisy
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
