import { type GraphWriter, SLICE_END } from '../writer.js';

/** The windows of a pooling, as the attributes of ONNX's pooling operators. */
export type Windows = {
  readonly kernel_shape: readonly [height: number, width: number];
  readonly strides: readonly [down: number, across: number];
  /** Top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
};

/** Adds rows and columns of zeros behind an image in NCHW; where their numbers are negative, it cuts pixels off. */
export function fitPixels(
  g: GraphWriter,
  image: string,
  px: readonly [down: number, across: number],
): string {
  let fitted = image;
  if (px.some((n) => n < 0)) {
    const ends = px.map((n) => (n < 0 ? n : SLICE_END));
    fitted = g.op('Slice', [fitted, g.ints([0, 0]), g.ints(ends), g.ints([2, 3])]);
  }
  if (px.every((n) => n <= 0)) return fitted;
  return g.op('Pad', [fitted, g.ints([0, 0, 0, 0, 0, 0, ...px.map((n) => Math.max(0, n))])]);
}
