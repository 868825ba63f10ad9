/**
 * Class indices, one byte per pixel; softmax probabilities, `classes` floats per pixel; or both, `classes + 1`
 * floats per pixel, the class index last.
 */
export type OutputKind = 'labels' | 'probabilities' | 'both';

/** Values of each px that the network returns: a label, a probability for each class, or both. */
export function valuesPerPixel(output: OutputKind, classes: number): number {
  if (output === 'labels') return 1;
  return output === 'both' ? classes + 1 : classes;
}
