import assert from 'node:assert/strict';
import { BLOCKED, type Image } from '../value.js';
import type { GraphWriter } from '../writer.js';
import type { ConvGeometry } from './conv-geometry.js';
import { type Convolution, POINTWISE } from './convolve.js';
import { unshufflePixels } from './pixel-shuffle.js';

/** Channels of the large image up to which a composition pays in training. */
const MAX_TRAINED = 64;

/**
 * An up-convolution by blocks of `size`² pixels and a convolution behind it, as one convolution of the small image: for
 * each of the `size`² positions of a pixel within its block, the sum of the products of both filters.
 */
export class Composition {
  /** The convolution of the small image; its output channels are those of each position, one after the other. */
  readonly convolution: Convolution;
  readonly #reach: number;
  readonly #taps: number;
  readonly #positions: number;

  /** @param channels of the small image, of the large one and of the convolved one */
  constructor(
    readonly size: number,
    { kernel_shape: [k] }: ConvGeometry,
    private readonly channels: readonly [inChannels: number, middle: number, outChannels: number],
  ) {
    const reach = (k - 1) / size + 1;
    [this.#reach, this.#taps, this.#positions] = [reach, k * k, size * size];
    this.convolution = {
      geometry: { ...POINTWISE, kernel_shape: [reach, reach] },
      channels: [channels[0], size * size * channels[2]],
    };
  }

  /**
   * Whether an up-convolution can be composed with a convolution: one that sees no padding, and whose windows are whole
   * blocks. Weights that change at each step are composed at each step, which pays for few channels.
   */
  static fits(
    { isFrozen }: GraphWriter,
    size: number,
    { kernel_shape: [kh, kw], strides, dilations, pads }: ConvGeometry,
    middle: number,
  ): boolean {
    const isDense = [...strides, ...dilations].every((n) => n === 1) && pads.every((px) => px === 0);
    return (isFrozen || middle <= MAX_TRAINED) && isDense && kh === kw && kh > 1 && (kh - 1) % size === 0;
  }

  /**
   * The composed filter, `[H, W, I, O]`.
   * @param up `[size, size, O, I]`
   * @param filter `[k, k, O, P]`
   */
  filter(g: GraphWriter, up: string, filter: string): string {
    const [inChannels, middle, outChannels] = this.channels;
    const [reach, positions] = [this.#reach, this.#positions];
    // [size², 1, I, O] × [1, k², O, P] -> [size²·k², I·P]
    const moved = g.op('Transpose', [up], { perm: [0, 1, 3, 2] });
    const left = g.op('Reshape', [moved, g.ints([positions, 1, inChannels, middle])]);
    const right = g.op('Reshape', [filter, g.ints([1, this.#taps, middle, outChannels])]);
    const products = g.op('Reshape', [g.op('MatMul', [left, right]), g.ints([positions * this.#taps, -1])]);
    const sums = g.op('Reshape', [
      g.op('MatMul', [this.#selection(g), products]),
      g.ints([reach, reach, positions, inChannels, outChannels]),
    ]);
    return g.op('Reshape', [
      g.op('Transpose', [sums], { perm: [0, 1, 3, 2, 4] }),
      g.ints([reach, reach, inChannels, positions * outChannels]),
    ]);
  }

  /** The convolved image, or its gradient, as the composed convolution leaves it, in blocks of channels alone. */
  phases(g: GraphWriter, image: Image): Image {
    return {
      as: (layout) => {
        assert(layout === BLOCKED);
        return unshufflePixels(g, image.as(BLOCKED), this.size, this.channels[2]);
      },
    };
  }

  /** The gradient of the up-convolution's filter, from that of the composed filter. */
  upGradient(g: GraphWriter, gradient: string, filter: string): string {
    const [inChannels, middle, outChannels] = this.channels;
    const [positions, size] = [this.#positions, this.size];
    // [size², I, k²·P] × [k²·P, O] -> [size², I, O]
    const byBlock = g.op('Transpose', [this.#products(g, gradient)], { perm: [0, 2, 1, 3] });
    const left = g.op('Reshape', [byBlock, g.ints([positions, inChannels, this.#taps * outChannels])]);
    const taps = g.op('Reshape', [filter, g.ints([this.#taps, middle, outChannels])]);
    const outputs = g.op('Transpose', [taps], { perm: [0, 2, 1] });
    const right = g.op('Reshape', [outputs, g.ints([this.#taps * outChannels, middle])]);
    const product = g.op('Transpose', [g.op('MatMul', [left, right])], { perm: [0, 2, 1] });
    return g.op('Reshape', [product, g.ints([size, size, middle, inChannels])]);
  }

  /** The gradient of the convolution's filter, `[k², O, P]`, from that of the composed filter. */
  filterGradient(g: GraphWriter, gradient: string, up: string): string {
    const [inChannels, middle, outChannels] = this.channels;
    const positions = this.#positions;
    // [O, size²·I] × [k², size²·I, P] -> [k², O, P]
    const flat = g.op('Reshape', [up, g.ints([positions, middle, inChannels])]);
    const moved = g.op('Transpose', [flat], { perm: [1, 0, 2] });
    const left = g.op('Reshape', [moved, g.ints([middle, positions * inChannels])]);
    const byTap = g.op('Transpose', [this.#products(g, gradient)], { perm: [1, 0, 2, 3] });
    const right = g.op('Reshape', [byTap, g.ints([this.#taps, positions * inChannels, outChannels])]);
    return g.op('MatMul', [left, right]);
  }

  /** The gradient of each product of both filters, `[size², k², I, P]`. */
  #products(g: GraphWriter, gradient: string): string {
    const [inChannels, , outChannels] = this.channels;
    const [reach, positions] = [this.#reach, this.#positions];
    const split = g.op('Reshape', [gradient, g.ints([reach, reach, inChannels, positions, outChannels])]);
    const sums = g.op('Reshape', [
      g.op('Transpose', [split], { perm: [0, 1, 3, 2, 4] }),
      g.ints([reach * reach * positions, -1]),
    ]);
    const products = g.op('MatMul', [g.op('Transpose', [this.#selection(g)], { perm: [1, 0] }), sums]);
    return g.op('Reshape', [products, g.ints([positions, this.#taps, inChannels, outChannels])]);
  }

  /** Which products are summed; row: the output's position in its block, and the small image's pixel; column: the product. */
  #selection(g: GraphWriter): string {
    const [size, reach, positions, taps] = [this.size, this.#reach, this.#positions, this.#taps];
    const k = Math.sqrt(taps);
    return g.once(`selection of ${size} and ${k}`, () => {
      const chosen = new Float32Array(positions * reach * reach * positions * taps);
      for (let position = 0; position < positions; position++) {
        for (let tap = 0; tap < taps; tap++) {
          const y = Math.floor(position / size) + Math.floor(tap / k);
          const x = (position % size) + (tap % k);
          const pixel = Math.floor(y / size) * reach + Math.floor(x / size);
          const place = (y % size) * size + (x % size);
          chosen[(pixel * positions + position) * positions * taps + place * taps + tap] = 1;
        }
      }
      return g.initializer('float32', [positions * reach * reach, positions * taps], chosen);
    });
  }
}
