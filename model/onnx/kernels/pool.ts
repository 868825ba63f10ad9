import tf = require('@tensorflow/tfjs-core');

import { UnsupportedKernelError } from '../../errors.js';
import type { Operator, ShapeBoundOperator } from '../operator.js';
import { NCHWC } from '../proto.js';
import { BLOCKED, NCHW } from '../value.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';
import { maxPoolGradient } from './max-pool-gradient.js';
import { fitPixels, type Windows } from './windows.js';

function poolingOf(x: tf.TensorInfo, attrs: tf.MaxPoolAttrs): { windows: Windows; outShape: number[] } {
  const info = tf.backend_util.computePool2DInfo(
    x.shape as [number, number, number, number],
    attrs.filterSize,
    attrs.strides,
    1,
    attrs.pad,
    attrs.dimRoundingMode,
  );
  const { top, left, bottom, right } = info.padInfo;
  const windows: Windows = {
    kernel_shape: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    pads: [top, left, bottom, right],
  };
  return { windows, outShape: info.outShape };
}

const maxPool: Operator<Windows> = {
  name: 'MaxPool',
  emit(g, [x], windows, output) {
    if (x.isBlocked) return output.value(g.op(`${NCHWC}:MaxPool`, [x.as(BLOCKED)], windows), BLOCKED);
    return output.value(g.op('MaxPool', [x.as(NCHW)], windows), NCHW);
  },
};

/** Averages windows; padded pixels do not count. */
const averagePool: Operator<Windows> = {
  name: 'AvgPool',
  emit: (g, [x], windows, output) => output.value(g.op('AveragePool', [x.as(NCHW)], windows), NCHW),
};

/** Spreads each gradient evenly over its window; pixels outside all windows get zero. */
const averagePoolGradient: ShapeBoundOperator<Windows> = {
  name: 'AvgPoolGrad',
  shapeBound: true,
  emit(g, [dy], { kernel_shape: [down, across] }, output, shapes) {
    const [, height, width] = shapes.output as [number, number, number, number];
    const [, rows, columns] = shapes.inputs[0] as [number, number, number, number];
    const scales = g.initializer('float32', [4], Float32Array.of(1, 1, down, across));
    const nearest = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
    const mean = g.op('Div', [dy.as(NCHW), g.scalar(down * across)]);
    const spread = g.op('Resize', [mean, '', scales], nearest);
    return output.value(fitPixels(g, spread, [height - rows * down, width - columns * across]), NCHW);
  },
};

/** Gradients are implemented for windows side by side only; exact tiling allows no others. */
function refuseOverlaps(name: string, { kernel_shape, strides, pads }: Windows): void {
  const overlapping = strides[0] < kernel_shape[0] || strides[1] < kernel_shape[1];
  if (overlapping || pads.some((p) => p > 0)) {
    throw new UnsupportedKernelError(name, 'windows that overlap or are padded');
  }
}

export const poolKernels: readonly Kernel[] = [
  kernel<Tensors<'x'>, tf.MaxPoolAttrs>('MaxPool', ({ inputs: { x }, attrs, backend }) => {
    const { windows, outShape } = poolingOf(x, attrs);
    return backend.record(maxPool, [x], windows, outShape, x.dtype);
  }),
  kernel<Tensors<'dy' | 'input'>, tf.MaxPoolGradAttrs>(
    'MaxPoolGrad',
    ({ inputs: { dy, input }, attrs, backend }) => {
      const { windows } = poolingOf(input, attrs);
      refuseOverlaps('MaxPoolGrad', windows);
      return backend.record(maxPoolGradient, [dy, input], windows, input.shape, 'float32');
    },
  ),
  kernel<Tensors<'x'>, tf.AvgPoolAttrs>('AvgPool', ({ inputs: { x }, attrs, backend }) => {
    const { windows, outShape } = poolingOf(x, attrs);
    return backend.record(averagePool, [x], windows, outShape, 'float32');
  }),
  kernel<Tensors<'dy' | 'input'>, tf.AvgPoolGradAttrs>(
    'AvgPoolGrad',
    ({ inputs: { dy, input }, attrs, backend }) => {
      const { windows } = poolingOf(input, attrs);
      refuseOverlaps('AvgPoolGrad', windows);
      if (windows.strides.join() !== windows.kernel_shape.join()) {
        throw new UnsupportedKernelError('AvgPoolGrad', 'windows with pixels between them');
      }
      return backend.record(averagePoolGradient, [dy], windows, input.shape, 'float32');
    },
  ),
];
