import { NCHWC } from '../proto.js';
import { BLOCKED, type Image, NCHW } from '../value.js';
import type { GraphWriter } from '../writer.js';
import type { ConvGeometry, ConvSizes } from './conv-geometry.js';

/**
 * The gradient of a convolution by its filter as one blocked convolution: of the image, with the output's gradient as
 * its filter. Tap (i, j) is the sum over pixels (y, x) of gradient (y, x) times image (y·s + i, x·s + j), for each pair
 * of their channels; so the image is convolved with dilation s, and the results are the taps.
 *
 * Both are read as they lie in memory, without a copy for each shift. A block of an image's channels, `[H, W, b]`, is
 * read as a picture of one channel and H × W·b pixels. It is convolved with dilation s·b across, and the b results of
 * each tap are those of the block's channels.
 *
 * What is too large for a cache is cut into pieces of some rows, which are groups of the convolution, as are the
 * images of a batch; the taps of all are then added. That also keeps sums of floats short, and so exact.
 *
 * The graph's blocks must divide the gradient's channels.
 * @param x the image, in blocks if they divide its channels, or else each channel as a picture of its own
 * @returns `[H, W, I, O]`
 */
export function blockedFilterGradient(
  g: GraphWriter,
  x: Image,
  dy: Image,
  geometry: ConvGeometry,
  sizes: ConvSizes,
): string {
  const block = g.block!;
  const { kernel_shape, strides } = geometry;
  const [kh, kw] = kernel_shape;
  const { batch, inChannels, outChannels, outWidth } = sizes;
  const cut = cutOf(sizes, block);
  const groups = batch * cut.pieces;
  const { image, lanes, height, width } = pictures(g, x, geometry, sizes, cut);
  const filterShape = g.ints([groups * outChannels, 1, cut.rows, outWidth]);
  const taps = g.op(
    `${NCHWC}:Conv`,
    [image, g.op('Reshape', [gradientPieces(g, dy.as(BLOCKED), sizes, cut), filterShape])],
    { kernel_shape: [cut.rows, outWidth], dilations: [strides[0], strides[1] * lanes], group: groups },
  );
  // rows and columns of the image that no window covers appear as further taps
  const [down, across] = [height - (cut.rows - 1) * strides[0], width - (outWidth - 1) * strides[1]];
  const byGroup = [inChannels / lanes, groups, outChannels / block, down, across, lanes, block];
  let sum = g.op('Reshape', [taps, g.ints(byGroup)]);
  if (groups > 1) sum = g.op('ReduceSum', [sum, g.ints([1])], { keepdims: 1 });
  if (down > kh || across > kw) {
    sum = g.op('Slice', [sum, g.ints([0, 0]), g.ints([kh, kw]), g.ints([3, 4])]);
  }
  const moved = g.op('Transpose', [sum], { perm: [1, 3, 4, 0, 5, 2, 6] });
  return g.op('Reshape', [moved, g.ints([kh, kw, inChannels, outChannels])]);
}

/** How the rows of a gradient are cut. */
interface Cut {
  readonly pieces: number;
  /** Rows in a piece; together as many as the gradient has, or more. */
  readonly rows: number;
}

/** Floats of a piece, at most, so that it stays in a core's cache while it is read for every tap. */
const MAX_PIECE = 2 ** 18;
/** The same for a gradient of one block: it is read twice as often, for one result at a time. */
const MAX_NARROW_PIECE = 2 ** 17;
/** The same where an image's channels are pictures of their own: then it is read a few times only. */
const MAX_OPEN_PIECE = 2 ** 19;

/** Pieces that need no further rows are preferred, but not if they are less than half as large. */
function cutOf({ batch, inChannels, outHeight, outWidth, outChannels }: ConvSizes, block: number): Cut {
  const ofBlocks = outChannels > block ? MAX_PIECE : MAX_NARROW_PIECE;
  const limit = inChannels % block === 0 ? ofBlocks : MAX_OPEN_PIECE;
  // ONNX Runtime convolves this many channels at once
  const atOnce = Math.min(outChannels, 4 * block);
  const least = Math.ceil((outHeight * outWidth * atOnce) / limit);
  // it takes as many groups as fill blocks, or less than one
  const isPossible = (pieces: number) => batch * pieces < block || (batch * pieces) % block === 0;
  const candidates = Array.from({ length: least + block }, (_, i) => least + i).filter(isPossible);
  const pieces = candidates.find((n) => n <= 2 * least && outHeight % n === 0) ?? candidates[0]!;
  return { pieces, rows: Math.ceil(outHeight / pieces) };
}

/**
 * The rows of an image that each piece of the gradient meets, `[I/lanes, N·pieces, height, width·lanes]`; lanes are
 * the channels that lie side by side.
 */
function pictures(
  g: GraphWriter,
  x: Image,
  { kernel_shape, strides, pads: [top, left, bottom, right] }: ConvGeometry,
  { batch, height, width, inChannels }: ConvSizes,
  { pieces, rows }: Cut,
): { readonly image: string; readonly lanes: number; readonly height: number; readonly width: number } {
  const lanes = inChannels % g.block! === 0 ? g.block! : 1;
  const count = inChannels / lanes;
  const padded = { height: height + top + bottom, width: width + left + right };
  let image = lanes === 1 ? x.as(NCHW) : x.as(BLOCKED);
  if (top + left + bottom + right > 0) {
    const maps = g.op('Reshape', [image, g.ints([batch * count, height, width * lanes])]);
    image = g.op('Pad', [maps, g.ints([0, top, left * lanes, 0, bottom, right * lanes])]);
  }
  const windowHeight = pieces === 1 ? padded.height : (rows - 1) * strides[0] + kernel_shape[0];
  if (batch * pieces > 1) {
    const all = g.op('Reshape', [image, g.ints([batch * count * padded.height, padded.width * lanes])]);
    const from: number[] = [];
    for (let picture = 0; picture < count; picture++) {
      for (let n = 0; n < batch; n++) {
        for (let first = 0; first < pieces * rows; first += rows) {
          for (let row = first * strides[0]; row < first * strides[0] + windowHeight; row++) {
            // a piece's further rows are zero, so that it does not matter what they meet
            from.push((n * count + picture) * padded.height + Math.min(row, padded.height - 1));
          }
        }
      }
    }
    image = g.op('Gather', [all, g.ints(from)], { axis: 0 });
  }
  const shape = g.ints([count, batch * pieces, windowHeight, padded.width * lanes]);
  return { image: g.op('Reshape', [image, shape]), lanes, height: windowHeight, width: padded.width };
}

/** A gradient in blocks, `[N, O/b, H, W, b]`, as `[N, pieces, O/b, rows·W·b]`; further rows are zero. */
function gradientPieces(
  g: GraphWriter,
  blocks: string,
  { batch, outHeight, outWidth, outChannels }: ConvSizes,
  { pieces, rows }: Cut,
): string {
  const count = outChannels / g.block!;
  const rowLength = outWidth * g.block!;
  const missing = pieces * rows - outHeight;
  let gradient = blocks;
  if (missing > 0) {
    const maps = g.op('Reshape', [gradient, g.ints([batch * count, outHeight, rowLength])]);
    // which is twice as fast as to pad, on one thread
    gradient = g.op('Concat', [maps, zeros(g, [batch * count, missing, rowLength])], { axis: 1 });
  }
  if (pieces === 1 || count === 1) return gradient;
  const split = g.op('Reshape', [gradient, g.ints([batch, count, pieces, rows * rowLength])]);
  return g.op('Transpose', [split], { perm: [0, 2, 1, 3] });
}

const zeros = (g: GraphWriter, shape: readonly number[]): string => g.op('ConstantOfShape', [g.ints(shape)]);
