import { blockedFilter } from '../blocked.js';
import type { Operator } from '../operator.js';
import { NCHWC } from '../proto.js';
import { BLOCKED, type Image, NCHW, Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { Composition } from './composition.js';
import { type ConvGeometry, isBlockwise } from './conv-geometry.js';
import { type Channels, type Convolution, convolve, outputsFirst } from './convolve.js';
import { deferred, type Writable, type Written } from './deferred.js';
import { reduceBlocks } from './reduce-blocks.js';
import { UpConvolution } from './up-convolution.js';

type Pads = ConvGeometry['pads'];

export interface InputGradientAttributes extends Convolution {
  /** Px at the input's bottom and right that no window covers. */
  readonly outputPadding: readonly [number, number];
}

/**
 * The gradient of a convolution by its input; also what an up-convolution computes. Three forms:
 * - stride equal to the kernel, no padding: each pixel yields a separate block, so a 1×1 convolution and
 *   DepthToSpace. Unlike ConvTranspose, this gives the same bits at every size.
 * - stride 1: a convolution of the padded gradient with the rotated filter.
 * - anything else: ConvTranspose.
 */
export const convInputGradient: Operator<InputGradientAttributes, readonly [dy: Value, filter: Value]> = {
  name: 'Conv2DBackpropInput',
  emit(g, [dy, filter], attributes, output) {
    const { geometry, channels, outputPadding } = attributes;
    const { kernel_shape, strides, pads, dilations } = geometry;
    const [kh, kw] = kernel_shape;
    const [inChannels, outChannels] = channels;
    if (isBlockwise(geometry) && outputPadding.every((n) => n === 0)) {
      const between: Channels = [outChannels, inChannels];
      if (UpConvolution.fits(g, between)) {
        const weights = { filter: filter.plain, bias: null };
        return deferred(g, output, new UpConvolution(dy, weights, kh, between));
      }
      // [kh, kw, I, O] -> [I, kh, kw, O] -> [I·kh·kw, O, 1, 1], the channel order of DepthToSpace CRD
      const rows = g.op('Transpose', [filter.plain], { perm: [2, 0, 1, 3] });
      const pointwise = g.op('Reshape', [rows, g.ints([inChannels * kh * kw, outChannels, 1, 1])]);
      const blocks = g.op('Conv', [dy.as(NCHW), pointwise], { kernel_shape: [1, 1] });
      return output.value(g.op('DepthToSpace', [blocks], { blocksize: kh, mode: 'CRD' }), NCHW);
    }
    const isDense = [...strides, ...dilations].every((n) => n === 1);
    const [top, left, bottom, right] = pads;
    if (isDense && Math.max(top, bottom) < kh && Math.max(left, right) < kw) {
      const gradient = new InputGradient(dy, filter.plain, attributes);
      if (InputGradient.fits(g, channels)) return deferred(g, output, gradient);
      const rotated = rotate(g, filter.plain, attributes, 'iot');
      const w = g.op('Reshape', [rotated, g.ints([inChannels, outChannels, kh, kw])]);
      return output.value(g.op('Conv', [dy.as(NCHW), w], { kernel_shape, pads: fullPads(geometry) }), NCHW);
    }
    const inputs = [dy.as(NCHW), outputsFirst(g, filter.plain, attributes)];
    const y = g.op('ConvTranspose', inputs, { ...geometry, output_padding: outputPadding });
    return output.value(y, NCHW);
  },
};

/**
 * The gradient of a dense convolution by its input, in blocks, that is not written yet: of a convolved concatenation,
 * each part's gradient is computed alone, and nothing is cut.
 */
export class InputGradient implements Writable {
  /**
   * @param filter `[H, W, I, O]`
   * @param frame px of zeros added at `[top, left, bottom, right]`
   */
  constructor(
    readonly dy: Image,
    readonly filter: string,
    private readonly convolution: Convolution,
    private readonly frame: Pads = [0, 0, 0, 0],
  ) {}

  /** Whether this can be written: a gradient in blocks, or one with fewer channels than a block. */
  static fits({ block }: GraphWriter, [inChannels, outChannels]: Channels): boolean {
    if (block === null || inChannels % block !== 0) return false;
    return outChannels < block || outChannels % block === 0;
  }

  /** That of some of the input's channels; null where they are no whole blocks. */
  part(g: GraphWriter, from: number, count: number): InputGradient | null {
    const { geometry, channels } = this.convolution;
    if (from % g.block! !== 0 || count % g.block! !== 0) return null;
    const share = g.op('Slice', [this.filter, g.ints([from]), g.ints([from + count]), g.ints([2])]);
    return new InputGradient(this.dy, share, { geometry, channels: [count, channels[1]] }, this.frame);
  }

  /** With a frame of zeros, such as the gradient of a crop: a convolution with further padding, which costs little. */
  framed(px: Pads): InputGradient {
    return new InputGradient(this.dy, this.filter, this.convolution, addPads(this.frame, px));
  }

  /**
   * The composition of an up-convolution, whose output this is the gradient of, with this convolution; null where they
   * cannot be composed. The up-convolution's filter is `[size, size, O, I]`.
   */
  composition(g: GraphWriter, up: ConvGeometry, inChannels: number): Composition | null {
    const { geometry, channels } = this.convolution;
    const [size] = up.kernel_shape;
    const isBlocked = [inChannels, channels[1]].every((count) => count % g.block! === 0);
    const isWhole = this.frame.every((px) => px === 0);
    if (!isBlocked || !isWhole || !isBlockwise(up) || !Composition.fits(g, size, geometry, channels[0]))
      return null;
    return new Composition(size, geometry, [inChannels, ...channels]);
  }

  /** The gradient by the small image of a composed up-convolution, whose filter is `[size, size, O, I]`. */
  throughUpConvolution(g: GraphWriter, composition: Composition, up: string): InputGradient {
    const filter = composition.filter(g, up, this.filter);
    return new InputGradient(composition.phases(g, this.dy), filter, composition.convolution);
  }

  /** Its sums over pixels, `[N, I]`, or `[I]` over the batch, too; null where padding takes
   * some of them, or the gradient is not that of a tensor in blocks. */
  sums(g: GraphWriter, reducesBatch: boolean): string | null {
    const { pads } = this.convolution.geometry;
    if (!(this.dy instanceof Value) || this.dy.channels % g.block! !== 0 || pads.some((px) => px > 0))
      return null;
    const ofOutputs = reduceBlocks(g, this.dy, 'ReduceSum', reducesBatch);
    const taps = g.op('ReduceSum', [this.filter, g.ints([0, 1])], { keepdims: 0 });
    return g.op('MatMul', [ofOutputs, g.op('Transpose', [taps], { perm: [1, 0] })]);
  }

  write(g: GraphWriter): Written {
    return this.#write(g, null);
  }

  /** Its sum with an image in blocks. */
  addedTo(g: GraphWriter, image: Value): Written {
    return this.#write(g, image.as(BLOCKED));
  }

  /** @param term an image in blocks that is added */
  #write(g: GraphWriter, term: string | null): Written {
    const { dy, convolution, frame } = this;
    const { geometry, channels } = convolution;
    const reversed: Convolution = {
      geometry: { ...geometry, pads: addPads(fullPads(geometry), frame) },
      channels: [channels[1], channels[0]],
    };
    if (channels[1] < g.block!) {
      const filter = rotate(g, this.filter, convolution, 'toi');
      return { name: convolve(g, dy, { filter, bias: null }, reversed, { sum: term }), layout: BLOCKED };
    }
    const inputs = [dy.as(BLOCKED), rotateBlocks(g, this.filter, convolution)];
    if (term !== null) inputs.push('', term);
    return { name: g.op(`${NCHWC}:Conv`, inputs, reversed.geometry), layout: BLOCKED };
  }
}

/**
 * The blocked form of a rotated filter, whose inputs and outputs are exchanged: from the blocked form of the filter
 * itself, `[O/b, I/b, taps, b of I, b of O]`, which the convolution has in the same graph.
 */
function rotateBlocks(g: GraphWriter, filter: string, { geometry, channels }: Convolution): string {
  const block = g.block!;
  const { kernel_shape } = geometry;
  const taps = kernel_shape[0] * kernel_shape[1];
  const [inBlocks, outBlocks] = [channels[0] / block, channels[1] / block];
  const flat = g.op('Reshape', [filter, g.ints([taps, ...channels])]);
  const blocked = blockedFilter(g, flat, kernel_shape, channels);
  // squares of b × b values are transposed as images of b pixels in blocks: ONNX Runtime is five times slower at
  // transposing them as matrices
  const squares = g.op('Reshape', [blocked, g.ints([1, outBlocks * inBlocks * taps * block, block, 1])]);
  const transposed = g.op(`${NCHWC}:ReorderOutput`, [squares], {
    channels: outBlocks * inBlocks * taps * block,
  });
  const byTap = g.op('Reshape', [transposed, g.ints([outBlocks, inBlocks, taps, block * block])]);
  const last = Array.from({ length: taps }, (_, tap) => taps - 1 - tap);
  const rotated = g.op('Gather', [byTap, g.ints(last)], { axis: 2 });
  const exchanged = g.op('Transpose', [rotated], { perm: [1, 0, 2, 3] });
  return g.op('Reshape', [exchanged, g.ints([channels[0], channels[1], ...kernel_shape])]);
}

const addPads = ([a, b, c, d]: Pads, [e, f, g, h]: Pads): Pads => [a + e, b + f, c + g, d + h];

/** The padding with which a gradient is convolved, so that every pixel meets every tap. */
function fullPads({ kernel_shape: [kh, kw], pads }: ConvGeometry): Pads {
  const [top, left, bottom, right] = pads;
  return [kh - 1 - top, kw - 1 - left, kh - 1 - bottom, kw - 1 - right];
}

/**
 * A filter `[H, W, I, O]` rotated by 180°, which its input's gradient is convolved with. Taps are contiguous
 * blocks, so gathering them moves blocks, and transpositions of matrices remain. ONNX Runtime is quick at
 * both, and slow at reversing or permuting single values, which is what it makes of a Transpose here: it merges
 * that with its neighbours.
 *
 * @param order `iot` for `[I, O, H·W]`, `toi` for `[H·W, O, I]`
 */
function rotate(g: GraphWriter, filter: string, convolution: Convolution, order: 'iot' | 'toi'): string {
  const [kh, kw] = convolution.geometry.kernel_shape;
  const taps = kh * kw;
  const last = Array.from({ length: taps }, (_, tap) => taps - 1 - tap);
  const matrices = g.op('Reshape', [filter, g.ints([taps, ...convolution.channels])]);
  return g.op('Einsum', [g.op('Gather', [matrices, g.ints(last)], { axis: 0 })], {
    equation: `tio->${order}`,
  });
}
