import type { ShapeBoundOperator } from '../operator.js';
import type { Value } from '../value.js';
import type { ConvGeometry, ConvSizes } from './conv-geometry.js';
import { blockedFilterGradient } from './filter-gradient-blocked.js';
import { productFilterGradient } from './filter-gradient-product.js';

/**
 * The gradient of a convolution by its filter: a blocked convolution where blocks divide its output's channels, matrix
 * products elsewhere.
 */
export const convFilterGradient: ShapeBoundOperator<ConvGeometry, readonly [x: Value, dy: Value]> = {
  name: 'Conv2DBackpropFilter',
  shapeBound: true,
  emit(g, [x, dy], geometry, output, shapes) {
    const [batch, height, width, inChannels] = shapes.inputs[0] as [number, number, number, number];
    const [, outHeight, outWidth, outChannels] = shapes.inputs[1] as [number, number, number, number];
    const sizes: ConvSizes = { batch, height, width, inChannels, outHeight, outWidth, outChannels };
    const isBlocked = g.block !== null && outChannels % g.block === 0;
    const gradient = isBlocked ? blockedFilterGradient : productFilterGradient;
    return output.value(gradient(g, x, dy, geometry, sizes));
  },
};
