import type { ConvGeometry } from '../onnx/kernels/conv-geometry.js';
import type { ByteFilter } from './filters.js';

/** Where a convolution's kernel reads. */
export type Window = Pick<ConvGeometry, 'kernel_shape' | 'dilations' | 'pads'>;

/**
 * The same convolution, of pairs of neighbouring pixels: its kernel and its padding count pairs, and its channels are
 * those of the left pixel, then those of the right one. ONNX Runtime convolves bytes to 16 channels in the time that it
 * takes for 32, so pairs are quicker there, though a third of their weights are zero.
 *
 * @param channels of the image
 * @param window without dilation across, which changes the width by an even number of pixels
 */
export function pairPixels(
  { filter, scale, bias }: ByteFilter,
  channels: number,
  { kernel_shape: [height, width], dilations, pads: [top, left, bottom, right] }: Window,
): { readonly filter: ByteFilter; readonly window: Window } {
  const outputs = bias.length;
  const shift = left % 2; // what the first pair has in front of the kernel
  const pairs = Math.ceil((shift + 1 + width) / 2);
  const paired = new Int8Array(4 * outputs * channels * height * pairs);
  for (const [k, weight] of filter.entries()) {
    const x = k % width;
    const y = Math.floor(k / width) % height;
    const i = Math.floor(k / width / height) % channels;
    const o = Math.floor(k / width / height / channels);
    for (const pixel of [0, 1]) {
      const column = shift + pixel + x;
      const input = (column % 2) * channels + i;
      const output = pixel * outputs + o;
      paired[((output * 2 * channels + input) * height + y) * pairs + Math.floor(column / 2)] = weight;
    }
  }
  const before = (left + shift) / 2;
  const change = (left + right + 1 - width) / 2;
  return {
    filter: {
      filter: paired,
      scale: Float32Array.of(...scale, ...scale),
      bias: Int32Array.of(...bias, ...bias),
    },
    window: {
      kernel_shape: [height, pairs],
      dilations,
      pads: [top, before, bottom, change + pairs - 1 - before],
    },
  };
}

/** Whether a convolution can be one of pairs, where its image has rows of an even number of pixels. */
export function canPair({ kernel_shape: [, width], dilations, pads }: Window): boolean {
  return dilations[1] === 1 && (pads[1] + pads[3] + 1 - width) % 2 === 0;
}
