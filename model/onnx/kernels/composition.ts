import { BLOCKED, type Image } from '../value.js';
import type { GraphWriter } from '../writer.js';
import type { ConvGeometry } from './conv-geometry.js';
import { type Convolution, POINTWISE } from './convolve.js';
import { transposeBlocks } from './transpose-blocks.js';

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
  readonly #blocks: number;

  /** @param channels of the small image, of the large one and of the convolved one */
  constructor(
    readonly size: number,
    { kernel_shape: [k] }: ConvGeometry,
    private readonly channels: readonly [inChannels: number, middle: number, outChannels: number],
  ) {
    const reach = (k - 1) / size + 1;
    [this.#reach, this.#taps, this.#blocks] = [reach, k * k, size * size];
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
    const [reach, blocks] = [this.#reach, this.#blocks];
    // [size², 1, I, O] × [1, k², O, P] -> [size²·k², I·P]
    const moved = g.op('Transpose', [up], { perm: [0, 1, 3, 2] });
    const left = g.op('Reshape', [moved, g.ints([blocks, 1, inChannels, middle])]);
    const right = g.op('Reshape', [filter, g.ints([1, this.#taps, middle, outChannels])]);
    const products = g.op('Reshape', [g.op('MatMul', [left, right]), g.ints([blocks * this.#taps, -1])]);
    const sums = g.op('Reshape', [
      g.op('MatMul', [this.#choice(g), products]),
      g.ints([reach, reach, blocks, inChannels, outChannels]),
    ]);
    return g.op('Reshape', [
      g.op('Transpose', [sums], { perm: [0, 1, 3, 2, 4] }),
      g.ints([reach, reach, inChannels, blocks * outChannels]),
    ]);
  }

  /** The convolved image, or its gradient, as the composed convolution leaves it: the inverse of an interleaving. */
  phases(g: GraphWriter, image: Image): Image {
    return { as: () => this.#writePhases(g, image.as(BLOCKED)) };
  }

  #writePhases(g: GraphWriter, image: string): string {
    const [block, size, outChannels] = [g.block!, this.size, this.channels[2]];
    const shape = g.op('Shape', [image]);
    const side = (axis: number) => g.op('Slice', [shape, g.ints([axis]), g.ints([axis + 1])]);
    const [height, width] = [2, 3].map((axis) => g.op('Div', [side(axis), g.ints([size])])) as [
      string,
      string,
    ];
    const [blocks, factor] = [g.ints([-1, outChannels / block]), g.ints([size])];
    const split = g.op('Concat', [blocks, height, factor, width, factor], { axis: 0 });
    const moved = transposeBlocks(g, image, split, [0, 3, 5, 1, 2, 4]);
    const shapeOfPhases = g.op('Concat', [g.ints([-1, this.#blocks * outChannels]), height, width], {
      axis: 0,
    });
    return g.op('Reshape', [moved, shapeOfPhases]);
  }

  /** The gradient of the up-convolution's filter, from that of the composed filter. */
  upGradient(g: GraphWriter, gradient: string, filter: string): string {
    const [inChannels, middle, outChannels] = this.channels;
    const [blocks, size] = [this.#blocks, this.size];
    // [size², I, k²·P] × [k²·P, O] -> [size², I, O]
    const byBlock = g.op('Transpose', [this.#products(g, gradient)], { perm: [0, 2, 1, 3] });
    const left = g.op('Reshape', [byBlock, g.ints([blocks, inChannels, this.#taps * outChannels])]);
    const taps = g.op('Reshape', [filter, g.ints([this.#taps, middle, outChannels])]);
    const outputs = g.op('Transpose', [taps], { perm: [0, 2, 1] });
    const right = g.op('Reshape', [outputs, g.ints([this.#taps * outChannels, middle])]);
    const product = g.op('Transpose', [g.op('MatMul', [left, right])], { perm: [0, 2, 1] });
    return g.op('Reshape', [product, g.ints([size, size, middle, inChannels])]);
  }

  /** The gradient of the convolution's filter, `[k², O, P]`, from that of the composed filter. */
  filterGradient(g: GraphWriter, gradient: string, up: string): string {
    const [inChannels, middle, outChannels] = this.channels;
    const blocks = this.#blocks;
    // [O, size²·I] × [k², size²·I, P] -> [k², O, P]
    const flat = g.op('Reshape', [up, g.ints([blocks, middle, inChannels])]);
    const moved = g.op('Transpose', [flat], { perm: [1, 0, 2] });
    const left = g.op('Reshape', [moved, g.ints([middle, blocks * inChannels])]);
    const byTap = g.op('Transpose', [this.#products(g, gradient)], { perm: [1, 0, 2, 3] });
    const right = g.op('Reshape', [byTap, g.ints([this.#taps, blocks * inChannels, outChannels])]);
    return g.op('MatMul', [left, right]);
  }

  /** The gradient of each product of both filters, `[size², k², I, P]`. */
  #products(g: GraphWriter, gradient: string): string {
    const [inChannels, , outChannels] = this.channels;
    const [reach, blocks] = [this.#reach, this.#blocks];
    const split = g.op('Reshape', [gradient, g.ints([reach, reach, inChannels, blocks, outChannels])]);
    const sums = g.op('Reshape', [
      g.op('Transpose', [split], { perm: [0, 1, 3, 2, 4] }),
      g.ints([reach * reach * blocks, -1]),
    ]);
    const products = g.op('MatMul', [g.op('Transpose', [this.#choice(g)], { perm: [1, 0] }), sums]);
    return g.op('Reshape', [products, g.ints([blocks, this.#taps, inChannels, outChannels])]);
  }

  /** Which products are summed; row: the output's position in its block, and the small image's pixel; column: the product. */
  #choice(g: GraphWriter): string {
    const [size, reach, blocks, taps] = [this.size, this.#reach, this.#blocks, this.#taps];
    const k = Math.sqrt(taps);
    return g.once(`choice of ${size} and ${k}`, () => {
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
      return g.initializer('float32', [blocks * reach * reach, blocks * taps], chosen);
    });
  }
}
