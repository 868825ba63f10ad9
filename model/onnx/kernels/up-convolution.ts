import { BLOCKED, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { Composition } from './composition.js';
import type { ConvGeometry } from './conv-geometry.js';
import { type Channels, type Convolution, convolve, POINTWISE, type Weights } from './convolve.js';
import type { Writable, Written } from './deferred.js';
import { shufflePixels } from './pixel-shuffle.js';

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
    return { name: shufflePixels(g, phases, size, outChannels), layout: BLOCKED };
  }

  /**
   * Convolves the large image, without its bias, as one convolution of the small image. It reads a quarter of the pixels
   * for size 2, and never writes the large image.
   *
   * @param filter `[k, k, O, P]`, where k − 1 is a multiple of the size, so that every block is complete
   * @returns the convolved image, in blocks of channels
   */
  convolved(g: GraphWriter, filter: string, { geometry, channels }: Convolution): string {
    const composition = new Composition(this.size, geometry, [...this.channels, channels[1]]);
    const composed = composition.filter(g, this.weights.filter, filter);
    const phases = convolve(g, this.x, { filter: composed, bias: null }, composition.convolution);
    return shufflePixels(g, phases, this.size, channels[1]);
  }

  /** Whether `convolved` can do a convolution. */
  canBeConvolved(g: GraphWriter, geometry: ConvGeometry): boolean {
    return Composition.fits(g, this.size, geometry, this.channels[1]);
  }
}
