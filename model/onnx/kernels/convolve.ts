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
  if (g.isPortable && sum !== null && geometry.strides.every((stride) => stride === 1)) {
    const { image, weights } = withSum(g, x.as(NCHW), sum, { filter, bias }, { geometry, channels });
    const [inChannels, outChannels] = channels;
    const wider: Convolution = { geometry, channels: [outChannels + inChannels, outChannels] };
    return convolve(g, { as: () => image }, weights, wider, { isActivated });
  }
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
 * Puts the image to which a convolution adds its products in front of its channels, as weights of one and zero leave it. For
 * ONNX Runtime, which adds the products of one block of channels after the other, that is the same sum in the same order;
 * where it is an Add of its own, it is rounded differently.
 */
function withSum(
  g: GraphWriter,
  x: string,
  sum: string,
  { filter, bias }: Weights,
  { geometry: { kernel_shape, dilations, pads }, channels: [inChannels, outChannels] }: Convolution,
): { readonly image: string; readonly weights: Weights } {
  const along = ([0, 1] as const).map((axis) => {
    const tap = Math.ceil(pads[axis]! / dilations[axis]); // the first one that reads no padding for the first pixel
    const before = tap * dilations[axis] - pads[axis]!;
    const after = (kernel_shape[axis] - 1 - tap) * dilations[axis] - pads[axis + 2]!;
    return { tap, before, after };
  });
  const [rows, columns] = along as [(typeof along)[0], (typeof along)[0]];
  const frame = g.ints([0, 0, rows.before, columns.before, 0, 0, rows.after, columns.after]);
  const identity = new Float32Array(kernel_shape[0] * kernel_shape[1] * outChannels ** 2);
  const first = (rows.tap * kernel_shape[1] + columns.tap) * outChannels ** 2;
  for (let channel = 0; channel < outChannels; channel++) identity[first + channel * (outChannels + 1)] = 1;
  const ones = g.initializer('float32', [...kernel_shape, outChannels, outChannels], identity);
  const shape = g.ints([...kernel_shape, inChannels, outChannels]);
  const wider = g.op('Concat', [ones, g.op('Reshape', [filter, shape])], { axis: 2 });
  const image = g.op('Concat', [g.op('Pad', [sum, frame]), x], { axis: 1 });
  return { image, weights: { filter: wider, bias } };
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
