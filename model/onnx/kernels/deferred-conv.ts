import type { Output } from '../operator.js';
import { BLOCKED, NCHW, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { type Convolution, convolve, type Weights } from './convolve.js';
import { deferred, type Writable, type Written } from './deferred.js';
import { UpConvolution } from './up-convolution.js';

/**
 * A convolution that is not written yet, so that a batch normalisation or a ReLU behind it becomes part of it. It works
 * in blocks of channels.
 */
export class DeferredConvolution implements Writable {
  #activated: Value | null = null;

  constructor(
    private readonly x: Value,
    private readonly weights: Weights,
    private readonly convolution: Convolution,
    private readonly isActivated = false,
  ) {}

  /** Whether this can be written: in blocks, of an image in blocks or of one with fewer channels than a block. */
  static fits({ block }: GraphWriter, { channels: [inChannels, outChannels] }: Convolution): boolean {
    if (block === null) return false;
    if (inChannels < block) return outChannels % block === 0;
    // few outputs are those of a network, which are cut from a block
    return inChannels % block === 0 && (outChannels % block === 0 || outChannels < block);
  }

  /** The tensor of this with a ReLU behind it; null until there is one. */
  get activated(): Value | null {
    return this.#activated;
  }

  /** With a ReLU behind it; null where there is one. */
  activate(g: GraphWriter, output: Output): Value | null {
    if (this.isActivated) return null;
    const { x, weights, convolution } = this;
    this.#activated = deferred(g, output, new DeferredConvolution(x, weights, convolution, true));
    return this.#activated;
  }

  /** With each output channel scaled and then shifted, by constants `[O]`; null behind a ReLU. */
  scaled(g: GraphWriter, scale: string, shift: string): DeferredConvolution | null {
    if (this.isActivated) return null;
    const { filter, bias } = this.weights;
    const weights = {
      filter: g.op('Mul', [filter, scale]),
      bias: bias === null ? shift : g.op('Add', [g.op('Mul', [bias, scale]), shift]),
    };
    return new DeferredConvolution(this.x, weights, this.convolution);
  }

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
    return { name: g.cutBlock(name, outChannels), layout: NCHW };
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
    const up = origin instanceof UpConvolution && origin.canBeConvolved(g, geometry) ? origin : null;
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
