import type { GraphWriter } from '../writer.js';

/**
 * Transposes whole blocks of channels. In training, sizes are fixed, so the order is a constant, and gathering blocks takes
 * half the time.
 * @param shape of the image without its last dimension, a block
 */
export function transposeBlocks(
  g: GraphWriter,
  image: string,
  shape: string,
  perm: readonly number[],
): string {
  const block = g.run;
  if (g.isFrozen) {
    const runs = g.op('Reshape', [image, g.op('Concat', [shape, g.ints([block])], { axis: 0 })]);
    return g.op('Transpose', [runs], { perm: [...perm, perm.length] });
  }
  const scalar = (value: number) => g.op('Squeeze', [g.ints([value])]);
  const length = g.op('ReduceProd', [g.op('Shape', [image])], { keepdims: 0 });
  const inOrder = g.op('Range', [scalar(0), g.op('Div', [length, scalar(block)]), scalar(1)]);
  const order = g.op('Transpose', [g.op('Reshape', [inOrder, shape])], { perm });
  return g.op('Gather', [g.op('Reshape', [image, g.ints([-1, block])]), order], { axis: 0 });
}
