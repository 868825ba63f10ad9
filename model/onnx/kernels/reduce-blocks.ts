import { BLOCKED, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';

/**
 * Reduces images in blocks to one value for each channel, or for each image and channel: along rows at first, which ONNX
 * Runtime does on all threads.
 */
export function reduceBlocks(g: GraphWriter, x: Value, opType: string, reducesBatch: boolean): string {
  const split = g.op('Reshape', [x.as(BLOCKED), g.ints([0, x.channels / g.block!, 0, 0, g.block!])]);
  const rows = g.op(opType, [split, g.ints([3])], { keepdims: 0 });
  const channels = g.op(opType, [rows, g.ints(reducesBatch ? [0, 2] : [2])], { keepdims: 0 });
  return g.op('Reshape', [channels, g.ints(reducesBatch ? [x.channels] : [-1, x.channels])]);
}
