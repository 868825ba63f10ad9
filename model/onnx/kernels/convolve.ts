import { blockedFilter, openFilter } from '../blocked.js';
import { NCHWC } from '../proto.js';
import { BLOCKED, type Image, NCHW } from '../value.js';
import type { GraphWriter } from '../writer.js';
import type { ConvGeometry } from './conv-geometry.js';

/** One convolution: its filter is `[H, W, I, O]`. */
export interface Convolution {
  readonly geometry: ConvGeometry;
  /** Of the image and of the convolved image. */
  readonly channels: Channels;
}
export type Channels = readonly [inChannels: number, outChannels: number];

/** Names of a convolution's weights, `[H, W, I, O]` and `[O]`. */
export interface Weights {
  readonly filter: string;
  readonly bias: string | null;
}

export const POINTWISE: ConvGeometry = {
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
export function convolve(
  g: GraphWriter,
  x: Image,
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

/** A filter `[H, W, I, O]` as `[O, I, H, W]`, which ONNX convolves with: by two transpositions of matrices. */
export function outputsFirst(g: GraphWriter, filter: string, { geometry, channels }: Convolution): string {
  const [kh, kw] = geometry.kernel_shape;
  const [inChannels, outChannels] = channels;
  const taps = kh * kw;
  const matrix = g.op('Reshape', [filter, g.ints([taps * inChannels, outChannels])]);
  const rows = g.op('Transpose', [matrix], { perm: [1, 0] });
  const blocks = g.op('Reshape', [rows, g.ints([outChannels, taps, inChannels])]);
  const moved = g.op('Einsum', [blocks], { equation: 'oti->oit' });
  return g.op('Reshape', [moved, g.ints([outChannels, inChannels, kh, kw])]);
}
