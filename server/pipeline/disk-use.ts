import { valuesPerPixel } from '../../model/network/output-kind.js';
import type { Card } from '../../model/shelf/card.js';
import { bytesPerPixel, outputKindOf, type ResultFile } from '../contract/outputs.js';
import { routeResults } from './routing.js';

/**
 * The maximum disk space of a job while it runs, in bytes: its journal and the files of its results. Tables and
 * contours are not counted: they grow with what is found, not with the image.
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
  const output = outputKindOf(results);
  const journal = output === 'labels' ? 1 : 4 * valuesPerPixel(output, classes.length);
  const named = results.map((result) => ({ ...result, path: '' }));
  const masks = routeResults({ id: '', results: named, scratchDir: '' }, pixels === maskPixels ? width : null)
    .filter(({ isTemporary }) => isTemporary)
    .reduce((sum, { mask }) => sum + bytesPerPixel(mask, classes.length), 0);
  const files = results.reduce((sum, result) => sum + bytesPerPixel(result, classes.length), 0) * pixels;
  return Math.ceil(maskPixels * (journal + masks) + files);
}
