import type { ShapeBoundOperator } from '../operator.js';
import type { Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import type { ConvGeometry, ConvSizes } from './conv-geometry.js';
import { Join } from './deferred-conv.js';
import { blockedFilterGradient } from './filter-gradient-blocked.js';
import { productFilterGradient } from './filter-gradient-product.js';

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
  const { inChannels, outChannels } = sizes;
  const isBlocked = (channels: number) => g.block !== null && channels % g.block === 0;
  if (x.origin instanceof Join && x.origin.isBlocked(g) && isBlocked(outChannels)) {
    const gradientOf = (part: Value) =>
      blockedFilterGradient(g, part, dy, geometry, { ...sizes, inChannels: part.channels });
    return g.op('Concat', x.origin.parts.map(gradientOf), { axis: 2 });
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
