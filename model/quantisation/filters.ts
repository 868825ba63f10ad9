import type { Encoding } from './encoding.js';

/**
 * The greatest weight. Without instructions for neural networks (VNNI), a CPU adds two products of a byte and a weight
 * in 16 bits, and limits the sum to them. With weights up to 64 it never exceeds them (2 · 255 · 64 < 2¹⁵), so that every
 * CPU computes the same integers.
 */
const MAX_WEIGHT = 64;
/** Sums of a convolution start at a bias up to this, which leaves room for its products in 32 bits. */
const MAX_BIAS = 2 ** 29;

/** A convolution of bytes: `byte = round(scale · (bias + Σ filter · byte))`, limited to 0 … 255. */
export interface ByteFilter {
  /** `[O, I, H, W]`, as the filter that it stands for. */
  readonly filter: Int8Array;
  /** `[O]`. */
  readonly scale: Float32Array;
  /** `[O]`. */
  readonly bias: Int32Array;
}

/**
 * Quantises a filter, each output channel with a scale of its own.
 * @param weights the filter `[O, I, H, W]` and the bias `[O]`
 * @param input the encodings of the channels that it reads
 * @param output those of the channels that it computes; null where its sums are to be numbers, not bytes
 */
export function quantiseFilter(
  { filter, bias }: { readonly filter: Float32Array; readonly bias: Float32Array },
  input: readonly Encoding[],
  output: readonly Encoding[] | null,
): ByteFilter {
  const each = filter.length / bias.length;
  const taps = each / input.length;
  const quantised: ByteFilter = {
    filter: new Int8Array(filter.length),
    scale: new Float32Array(bias.length),
    bias: new Int32Array(bias.length),
  };
  for (let o = 0; o < bias.length; o++) {
    const target = output?.[o] ?? { scale: 1, zero: 0 };
    // what a step of an input's byte adds to the output, in steps of the output's byte
    const own = Float64Array.from(
      { length: each },
      (_, k) => (filter[o * each + k]! * input[Math.floor(k / taps)]!.scale) / target.scale,
    );
    const offset = bias[o]! / target.scale + target.zero;
    const greatest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const scale = Math.max(greatest / MAX_WEIGHT, Math.abs(offset) / MAX_BIAS) || 1;
    let sum = offset / scale;
    for (const [k, value] of own.entries()) {
      const weight = Math.round(value / scale);
      quantised.filter[o * each + k] = weight;
      sum -= weight * input[Math.floor(k / taps)]!.zero;
    }
    quantised.scale[o] = scale;
    quantised.bias[o] = Math.round(sum);
  }
  return quantised;
}
