import type { Card } from '../../model/card.js';
import { valuesPerPixel } from '../../model/output-kind.js';
import { predictedFor, type ResultFile } from '../contract/outputs.js';
import { maskResults } from './masks.js';

/** A mask's file is at most so much larger than its pixels: overviews, and what does not compress. */
const PYRAMID = 1.35;

/**
 * What a job takes of the disk at most, in bytes, while it runs: its journal, and the files of its results.
 * Tables and contours are not in it: they grow with what is found, not with the image.
 *
 * @param pixels of the image, whose size results have
 * @param maskPixels of the mask as it is computed: fewer, or more, where the image is scaled for the model
 */
export function expectedDisk(
  results: readonly Pick<ResultFile, 'output' | 'format'>[],
  { classes }: Pick<Card, 'classes'>,
  {
    pixels,
    maskPixels,
    width,
  }: { readonly pixels: number; readonly maskPixels: number; readonly width: number },
): number {
  const output = predictedFor(results);
  const journal = output === 'labels' ? 1 : 4 * valuesPerPixel(output, classes.length);
  const named = results.map((result) => ({ ...result, path: '' }));
  const masks = maskResults({ id: '', results: named, scratchDir: '' }, pixels === maskPixels ? width : null)
    .filter(({ temporary }) => temporary)
    .reduce((sum, { mask }) => sum + fileBytes(mask, classes.length), 0);
  const files = results.reduce((sum, result) => sum + fileBytes(result, classes.length), 0) * pixels;
  return Math.ceil(maskPixels * (journal + masks) + files);
}

/** Bytes of a result's file for each px of the image. */
function fileBytes({ output, format }: Pick<ResultFile, 'output' | 'format'>, classes: number): number {
  switch (output) {
    case 'labels':
      return format === 'tiff' ? PYRAMID : 1;
    case 'probabilities':
      return 4 * classes * PYRAMID;
    case 'overlay':
      return 3;
    case 'instances':
      return 4 * (PYRAMID + 1); // and as much again while they are numbered
    case 'geojson':
    case 'objects':
    case 'thumbnail':
      return 0;
  }
}
