import { blockedFilter, openFilter } from '../blocked.js';
import type { Output } from '../operator.js';
import { NCHWC } from '../proto.js';
import { BLOCKED, NCHW, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import type { ConvGeometry } from './conv-geometry.js';

/** One convolution: its filter is `[H, W, I, O]`. */
export interface Convolution {
  readonly geometry: ConvGeometry;
  /** Of the image and of the convolved image. */
  readonly channels: Channels;
}
export type Channels = readonly [inChannels: number, outChannels: number];

/** Names of a convolution's constants, `[H, W, I, O]` and `[O]`. */
interface Weights {
  readonly filter: string;
  readonly bias: string | null;
}

/** What a convolution of a frozen network leaves: a name, and the layout in which it lies. */
export interface Written {
  readonly name: string;
  readonly layout: typeof BLOCKED | typeof NCHW;
}

/** The tensor of a convolution that is written when it is needed. */
export function deferred(g: GraphWriter, output: Output, origin: FrozenConvolution | UpConvolution): Value {
  const write = () => {
    const { name, layout } = origin.write(g);
    return output.value(name, layout);
  };
  return output.deferred({ origin, write });
}

/**
 * A convolution with constant weights that is not written yet, so that a batch normalisation or a ReLU behind it
 * becomes part of it. It works in blocks of channels.
 */
export class FrozenConvolution {
  constructor(
    private readonly x: Value,
    private readonly weights: Weights,
    private readonly convolution: Convolution,
    private readonly isActivated = false,
  ) {}

  /** Whether this can be written: in blocks, of an image in blocks or of one with fewer channels than a block. */
  static fits(
    { block, isFrozen }: GraphWriter,
    { channels: [inChannels, outChannels] }: Convolution,
  ): boolean {
    if (!isFrozen || block === null) return false;
    if (inChannels < block) return outChannels % block === 0;
    // few outputs are those of a network, which are cut from a block
    return inChannels % block === 0 && (outChannels % block === 0 || outChannels < block);
  }

  /** With a ReLU behind it; null where there is one. */
  activated(): FrozenConvolution | null {
    return this.isActivated ? null : new FrozenConvolution(this.x, this.weights, this.convolution, true);
  }

  /** With each output channel scaled and then shifted, by constants `[O]`; null behind a ReLU. */
  scaled(g: GraphWriter, scale: string, shift: string): FrozenConvolution | null {
    if (this.isActivated) return null;
    const { filter, bias } = this.weights;
    const weights = {
      filter: g.op('Mul', [filter, scale]),
      bias: bias === null ? shift : g.op('Add', [g.op('Mul', [bias, scale]), shift]),
    };
    return new FrozenConvolution(this.x, weights, this.convolution);
  }

  /** Writes the nodes. */
  write(g: GraphWriter): Written {
    const { x, convolution, isActivated } = this;
    const block = g.block!;
    const [inChannels, outChannels] = convolution.channels;
    const missing = -outChannels & (block - 1);
    const weights = missing === 0 ? this.weights : padOutputs(g, this.weights, missing);
    const padded: Convolution = { ...convolution, channels: [inChannels, outChannels + missing] };
    const name =
      x.origin instanceof Join && x.origin.isBlocked(g)
        ? convolveParts(g, x.origin.parts, weights, padded, isActivated)
        : convolve(g, x, weights, padded, { isActivated });
    if (missing === 0) return { name, layout: BLOCKED };
    return { name: g.op(`${NCHWC}:ReorderOutput`, [name], { channels: outChannels }), layout: NCHW };
  }
}

/** Images that are concatenated along their channels, which are not written together unless that is needed. */
export class Join {
  constructor(readonly parts: readonly Value[]) {}

  /** Whether every part is made of whole blocks. */
  isBlocked({ block }: GraphWriter): boolean {
    return block !== null && this.parts.every(({ channels }) => channels % block === 0);
  }
}

/**
 * An up-convolution with constant weights, each of whose pixels yields a block of `size`² pixels of its own, that is
 * not written yet: a convolution behind it reads its small image instead.
 */
export class UpConvolution {
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

  static fits({ block, isFrozen }: GraphWriter, channels: Channels): boolean {
    return isFrozen && block !== null && channels.every((count) => count % block === 0);
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

  /** Whether `convolved` can do a convolution: one that sees no padding, and whose results fill whole blocks. */
  canBeConvolved({ kernel_shape: [kh, kw], strides, dilations, pads }: ConvGeometry): boolean {
    const isDense = [...strides, ...dilations].every((n) => n === 1) && pads.every((px) => px === 0);
    return isDense && kh === kw && (kh - 1) % this.size === 0;
  }
}

const POINTWISE: ConvGeometry = {
  kernel_shape: [1, 1],
  strides: [1, 1],
  dilations: [1, 1],
  pads: [0, 0, 0, 0],
};

/** What a convolution adds its products to, and what follows. */
interface Fused {
  /** An image in blocks to which the products are added; it is overwritten. */
  readonly sum?: string | null;
  readonly isActivated?: boolean;
}

/** Writes one convolution to whole blocks of channels. */
function convolve(
  g: GraphWriter,
  x: Value,
  { filter, bias }: Weights,
  { geometry, channels }: Convolution,
  { sum = null, isActivated = false }: Fused = {},
): string {
  const isOpen = channels[0] < g.block!;
  const taps = geometry.kernel_shape[0] * geometry.kernel_shape[1];
  const flat = g.op('Reshape', [filter, g.ints([taps, ...channels])]);
  const order = isOpen ? openFilter : blockedFilter;
  const inputs = [x.as(isOpen ? NCHW : BLOCKED), order(g, flat, geometry.kernel_shape, channels)];
  if (bias !== null || sum !== null) inputs.push(bias ?? '');
  if (sum !== null) inputs.push(sum);
  return g.op(`${NCHWC}:Conv`, inputs, { ...geometry, ...(isActivated && { activation: 'Relu' }) });
}

/**
 * Convolves a concatenation without writing it: the sum of the convolutions of its parts by their shares of the
 * filter.
 */
function convolveParts(
  g: GraphWriter,
  parts: readonly Value[],
  { filter, bias }: Weights,
  { geometry, channels: [, outChannels] }: Convolution,
  isActivated: boolean,
): string {
  let from = 0;
  const terms = parts.map((part) => {
    const { channels } = part;
    const share = g.op('Slice', [filter, g.ints([from]), g.ints([from + channels]), g.ints([2])]);
    from += channels;
    const convolution: Convolution = { geometry, channels: [channels, outChannels] };
    const { origin } = part;
    const up = origin instanceof UpConvolution && origin.canBeConvolved(geometry) ? origin : null;
    return { part, share, convolution, up };
  });
  let sum: string | null = null;
  let shift = bias;
  const composed = terms.filter(({ up }) => up !== null).slice(0, terms.length - 1);
  for (const { share, convolution, up } of composed) {
    const name = up!.convolved(g, share, convolution);
    sum = sum === null ? name : g.op('Add', [sum, name]);
    if (up!.weights.bias !== null) shift = shifted(g, shift, share, up!.weights.bias);
  }
  const others = terms.filter((term) => !composed.includes(term));
  for (const [i, { part, share, convolution }] of others.entries()) {
    const isLast = i === others.length - 1;
    const weights: Weights = { filter: share, bias: isLast ? shift : null };
    sum = convolve(g, part, weights, convolution, { sum, isActivated: isLast && isActivated });
  }
  return sum!;
}

/** Adds to a bias what a convolution without padding makes of a constant in each channel: `[O]` by `[k, k, O, P]`. */
function shifted(g: GraphWriter, bias: string | null, filter: string, constant: string): string {
  const summed = g.op('ReduceSum', [filter, g.ints([0, 1])], { keepdims: 0 });
  const shift = g.op('MatMul', [constant, summed]);
  return bias === null ? shift : g.op('Add', [bias, shift]);
}

/** Weights with further output channels, which are zero. */
function padOutputs(g: GraphWriter, { filter, bias }: Weights, missing: number): Weights {
  return {
    filter: g.op('Pad', [filter, g.ints([0, 0, 0, 0, 0, 0, 0, missing])]),
    bias: bias && g.op('Pad', [bias, g.ints([0, missing])]),
  };
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
  const split = g.op('Concat', [g.ints([-1, size, size, channels / block]), height, width, g.ints([block])], {
    axis: 0,
  });
  const moved = g.op('Transpose', [g.op('Reshape', [phases, split])], { perm: [0, 3, 4, 1, 5, 2, 6] });
  const factor = g.ints([size]);
  const larger = g.op(
    'Concat',
    [g.ints([-1, channels]), g.op('Mul', [height, factor]), g.op('Mul', [width, factor])],
    { axis: 0 },
  );
  return g.op('Reshape', [moved, larger]);
}
