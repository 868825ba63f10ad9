import { BLOCKED, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import type { ConvGeometry } from './conv-geometry.js';
import { type Channels, type Convolution, convolve, POINTWISE, type Weights } from './convolve.js';
import type { Writable, Written } from './deferred.js';

/**
 * An up-convolution, each of whose pixels yields a block of `size`² pixels of its own, that is
 * not written yet: a convolution behind it reads its small image instead.
 */
export class UpConvolution implements Writable {
  /**
   * @param weights a filter `[size, size, O, I]`, as TensorFlow.js transposes it, and a bias `[O]`
   * @param channels of the small image and of the large one
   */
  constructor(
    readonly x: Value,
    readonly weights: Weights,
    readonly size: number,
    readonly channels: Channels,
  ) {}

  static fits({ block }: GraphWriter, channels: Channels): boolean {
    return block !== null && channels.every((count) => count % block === 0);
  }

  /** With a bias `[O]`; null where there is one. */
  biased(bias: string): UpConvolution | null {
    if (this.weights.bias !== null) return null;
    return new UpConvolution(this.x, { filter: this.weights.filter, bias }, this.size, this.channels);
  }

  /** Writes a 1×1 convolution to all pixels of a block, and brings them to their places. */
  write(g: GraphWriter): Written {
    const { x, size, channels, weights } = this;
    const [inChannels, outChannels] = channels;
    const taps = size * size;
    const moved = g.op('Transpose', [weights.filter], { perm: [3, 0, 1, 2] });
    const filter = g.op('Reshape', [moved, g.ints([1, 1, inChannels, taps * outChannels])]);
    const bias = weights.bias && g.op('Tile', [weights.bias, g.ints([taps])]);
    const pointwise: Convolution = { geometry: POINTWISE, channels: [inChannels, taps * outChannels] };
    const phases = convolve(g, x, { filter, bias }, pointwise);
    return { name: interleave(g, phases, size, outChannels), layout: BLOCKED };
  }

  /**
   * Convolves the large image, without its bias, as one convolution of the small image: for each of the `size`²
   * positions of a pixel within its block, the sum of the products of both filters. It reads a quarter of the pixels
   * for size 2, and never writes the large image.
   *
   * @param filter `[k, k, O, P]`, where k − 1 is a multiple of the size, so that every block is complete
   * @returns the convolved image, in blocks of channels
   */
  convolved(g: GraphWriter, filter: string, { geometry, channels }: Convolution): string {
    const { x, size, weights } = this;
    const [inChannels, middle] = this.channels;
    const outChannels = channels[1];
    const [k] = geometry.kernel_shape;
    const reach = (k - 1) / size + 1;
    const [blocks, taps] = [size * size, k * k];
    // [size², 1, I, O] × [1, k², O, P] -> [size²·k², I·P]
    const up = g.op('Transpose', [weights.filter], { perm: [0, 1, 3, 2] });
    const left = g.op('Reshape', [up, g.ints([blocks, 1, inChannels, middle])]);
    const right = g.op('Reshape', [filter, g.ints([1, taps, middle, outChannels])]);
    const products = g.op('Reshape', [g.op('MatMul', [left, right]), g.ints([blocks * taps, -1])]);
    // row: the output's position in its block, and the small image's pixel; column: the product that it takes
    const chosen = new Float32Array(blocks * reach * reach * blocks * taps);
    for (let position = 0; position < blocks; position++) {
      for (let tap = 0; tap < taps; tap++) {
        const y = Math.floor(position / size) + Math.floor(tap / k);
        const x = (position % size) + (tap % k);
        const pixel = Math.floor(y / size) * reach + Math.floor(x / size);
        const place = (y % size) * size + (x % size);
        chosen[(pixel * blocks + position) * blocks * taps + place * taps + tap] = 1;
      }
    }
    const choice = g.initializer('float32', [blocks * reach * reach, blocks * taps], chosen);
    const sums = g.op('Reshape', [
      g.op('MatMul', [choice, products]),
      g.ints([reach, reach, blocks, inChannels, outChannels]),
    ]);
    const composed = g.op('Reshape', [
      g.op('Transpose', [sums], { perm: [0, 1, 3, 2, 4] }),
      g.ints([reach, reach, inChannels, blocks * outChannels]),
    ]);
    const small: Convolution = {
      geometry: { ...POINTWISE, kernel_shape: [reach, reach] },
      channels: [inChannels, blocks * outChannels],
    };
    return interleave(g, convolve(g, x, { filter: composed, bias: null }, small), size, outChannels);
  }

  /**
   * Whether `convolved` can do a convolution, and once for all: one with constant weights, that sees no padding, and
   * whose results fill whole blocks.
   */
  canBeConvolved(
    { isFrozen }: GraphWriter,
    { kernel_shape: [kh, kw], strides, dilations, pads }: ConvGeometry,
  ): boolean {
    const isDense = [...strides, ...dilations].every((n) => n === 1) && pads.every((px) => px === 0);
    return isFrozen && isDense && kh === kw && (kh - 1) % this.size === 0;
  }
}

/**
 * Brings `size`² images of `channels`, which follow each other as channels, to the pixels of one image of that many
 * times the pixels: DepthToSpace for blocks, whose runs of a block's channels move as a whole.
 */
function interleave(g: GraphWriter, phases: string, size: number, channels: number): string {
  const block = g.block!;
  const shape = g.op('Shape', [phases]);
  const side = (axis: number) => g.op('Slice', [shape, g.ints([axis]), g.ints([axis + 1])]);
  const [height, width] = [side(2), side(3)];
  const split = g.op('Concat', [g.ints([-1, size, size, channels / block]), height, width], { axis: 0 });
  const moved = transposeRuns(g, phases, split, [0, 3, 4, 1, 5, 2]);
  const factor = g.ints([size]);
  const larger = g.op(
    'Concat',
    [g.ints([-1, channels]), g.op('Mul', [height, factor]), g.op('Mul', [width, factor])],
    { axis: 0 },
  );
  return g.op('Reshape', [moved, larger]);
}

/**
 * Transposes the blocks of channels of an image. Where its size is known, as in training, their order is known, too, and
 * blocks are gathered in it, which takes half the time.
 * @param shape of the image without its last dimension, a block
 */
function transposeRuns(g: GraphWriter, image: string, shape: string, perm: readonly number[]): string {
  const block = g.block!;
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
