import type { GraphWriter } from '../writer.js';
import { transposeBlocks } from './transpose-blocks.js';

/**
 * Brings `size`² images of `channels`, which follow each other as channels, to the pixels of one image of that many
 * times the pixels: DepthToSpace for blocks, whose runs of a block's channels move as a whole.
 */
export function shufflePixels(g: GraphWriter, phases: string, size: number, channels: number): string {
  if (g.isPortable) return g.op('DepthToSpace', [phases], { blocksize: size, mode: 'DCR' });
  const [height, width] = sides(g, phases);
  const split = g.op('Concat', [g.ints([-1, size, size, channels / g.block!]), height, width], { axis: 0 });
  const moved = transposeBlocks(g, phases, split, [0, 3, 4, 1, 5, 2]);
  const factor = g.ints([size]);
  const larger = [g.ints([-1, channels]), g.op('Mul', [height, factor]), g.op('Mul', [width, factor])];
  return g.op('Reshape', [moved, g.op('Concat', larger, { axis: 0 })]);
}

/** The inverse of `shufflePixels`: an image of `channels` becomes `size`² images of a part of its pixels. */
export function unshufflePixels(g: GraphWriter, image: string, size: number, channels: number): string {
  const factor = g.ints([size]);
  const [height, width] = sides(g, image).map((side) => g.op('Div', [side, factor])) as [string, string];
  const channelBlocks = g.ints([-1, channels / g.block!]);
  const split = g.op('Concat', [channelBlocks, height, factor, width, factor], { axis: 0 });
  const moved = transposeBlocks(g, image, split, [0, 3, 5, 1, 2, 4]);
  const smaller = [g.ints([-1, size * size * channels]), height, width];
  return g.op('Reshape', [moved, g.op('Concat', smaller, { axis: 0 })]);
}

/** Height and width of an image. */
function sides(g: GraphWriter, image: string): [height: string, width: string] {
  const shape = g.op('Shape', [image]);
  const side = (axis: number) => g.op('Slice', [shape, g.ints([axis]), g.ints([axis + 1])]);
  return [side(2), side(3)];
}
