import type { ShapeBoundOperator } from '../operator.js';
import type { Image, Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { Composition } from './composition.js';
import type { ConvGeometry, ConvSizes } from './conv-geometry.js';
import { Join } from './deferred-conv.js';
import { blockedFilterGradient } from './filter-gradient-blocked.js';
import { productFilterGradient } from './filter-gradient-product.js';
import { InputGradient } from './input-gradient.js';
import { reduceBlocks } from './reduce-blocks.js';
import { UpConvolution } from './up-convolution.js';

/** The gradient of a convolution by its filter. */
export const convFilterGradient: ShapeBoundOperator<ConvGeometry, readonly [x: Value, dy: Value]> = {
  name: 'Conv2DBackpropFilter',
  shapeBound: true,
  emit(g, [x, dy], geometry, output, shapes) {
    const [batch, height, width, inChannels] = shapes.inputs[0] as [number, number, number, number];
    const [, outHeight, outWidth, outChannels] = shapes.inputs[1] as [number, number, number, number];
    const sizes: ConvSizes = { batch, height, width, inChannels, outHeight, outWidth, outChannels };
    return output.value(filterGradient(g, x, dy, geometry, sizes));
  },
};

/** A blocked convolution where blocks divide the channels that are its outputs, matrix products elsewhere. */
function filterGradient(
  g: GraphWriter,
  x: Value,
  dy: Value,
  geometry: ConvGeometry,
  sizes: ConvSizes,
): string {
  const { inChannels, outChannels, outHeight, outWidth } = sizes;
  const isBlocked = (channels: number) => g.block !== null && channels % g.block === 0;
  if (x.origin instanceof Join && x.origin.isBlocked(g) && isBlocked(outChannels)) {
    const gradientOf = (part: Value) => {
      const ofPart = { ...sizes, inChannels: part.channels };
      return part.origin instanceof UpConvolution && part.origin.canBeConvolved(g, geometry)
        ? convolvedGradient(g, part.origin, dy, geometry, ofPart)
        : blockedFilterGradient(g, part, dy, geometry, ofPart);
    };
    return g.op('Concat', x.origin.parts.map(gradientOf), { axis: 2 });
  }
  if (x.origin instanceof InputGradient && isBlocked(outChannels)) {
    const composition = x.origin.composition(g, geometry, outChannels);
    if (composition !== null) {
      // no large image is needed: here `dy` is the small image, and `x` the gradient of the large one
      const small = { ...sizes, height: outHeight, width: outWidth };
      const gradient = composedGradient(g, composition, dy, composition.phases(g, x.origin.dy), small);
      return composition.upGradient(g, gradient, x.origin.filter);
    }
  }
  if (isBlocked(outChannels)) return blockedFilterGradient(g, x, dy, geometry, sizes);
  const isPointwise = [...geometry.kernel_shape, ...geometry.strides].every((n) => n === 1);
  if (isPointwise && isBlocked(inChannels)) {
    // image and gradient meet at the same pixels, so each can be either
    const swapped = { ...sizes, inChannels: outChannels, outChannels: inChannels };
    const transposed = blockedFilterGradient(g, dy, x, geometry, swapped);
    return g.op('Transpose', [transposed], { perm: [0, 1, 3, 2] });
  }
  return productFilterGradient(g, x, dy, geometry, sizes);
}

/** The gradient of a composed filter, of a small image whose height and width are among the sizes. */
function composedGradient(
  g: GraphWriter,
  { convolution: { geometry, channels } }: Composition,
  small: Value,
  phases: Image,
  { batch, height, width }: Pick<ConvSizes, 'batch' | 'height' | 'width'>,
): string {
  const reach = geometry.kernel_shape[0] - 1;
  const [inChannels, outChannels] = channels;
  const outputs = { outHeight: height - reach, outWidth: width - reach, outChannels };
  return blockedFilterGradient(g, small, phases, geometry, { batch, height, width, inChannels, ...outputs });
}

/** The gradient of the filter of a convolution of an up-convolution, with its bias. */
function convolvedGradient(
  g: GraphWriter,
  { x, weights, size, channels }: UpConvolution,
  dy: Value,
  geometry: ConvGeometry,
  { batch, height, width, outChannels }: ConvSizes,
): string {
  const composition = new Composition(size, geometry, [...channels, outChannels]);
  const small = { batch, height: height / size, width: width / size };
  const composed = composedGradient(g, composition, x, composition.phases(g, dy), small);
  let gradient = composition.filterGradient(g, composed, weights.filter);
  if (weights.bias !== null) {
    // the bias is every pixel's value, so its part is the sum of the output's gradient, for each tap
    const sums = g.op('Reshape', [reduceBlocks(g, dy, 'ReduceSum', true), g.ints([1, outChannels])]);
    const column = g.op('Reshape', [weights.bias, g.ints([channels[1], 1])]);
    gradient = g.op('Add', [gradient, g.op('MatMul', [column, sums])]);
  }
  return g.op('Reshape', [gradient, g.ints([...geometry.kernel_shape, channels[1], outChannels])]);
}
