import * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import type { Operator, RecordAttributes } from '../record.js';
import { NCHW, Value } from '../writer.js';
import { type Kernel, kernel } from './kernel.js';

interface PoolAttributes {
  readonly filterSize: number | [number, number];
  readonly strides: number | [number, number];
  readonly pad: number | 'valid' | 'same' | tf.backend_util.ExplicitPadding;
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil';
}

function geometryOf(x: tf.TensorInfo, attrs: PoolAttributes) {
  const info = tf.backend_util.computePool2DInfo(
    x.shape as [number, number, number, number],
    attrs.filterSize,
    attrs.strides,
    1,
    attrs.pad,
    attrs.dimRoundingMode,
  );
  const { top, left, bottom, right } = info.padInfo;
  const attributes = {
    kernel: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    pads: [top, left, bottom, right],
  } satisfies RecordAttributes;
  return { info, attributes };
}

function onnxAttributes(attributes: RecordAttributes) {
  return {
    kernel_shape: attributes.kernel as number[],
    strides: attributes.strides as number[],
    pads: attributes.pads as number[],
  };
}

const maxPool: Operator = {
  name: 'MaxPool',
  write: (g, [x], attributes, type) =>
    new Value(g, type, g.op('MaxPool', [x!.as(NCHW)], onnxAttributes(attributes)), NCHW),
};

/** Sends each gradient to the first greatest pixel of its window, as TensorFlow.js does. */
const maxPoolGradient: Operator = {
  name: 'MaxPoolGrad',
  shapeBound: true,
  write(g, [dy, x], attributes, type) {
    const pool = onnxAttributes(attributes);
    const [, where] = g.ops('MaxPool', [x!.as(NCHW)], pool, 2);
    const [batch, height, width, channels] = type.shape;
    const shape = g.ints([batch!, channels!, height!, width!]);
    return new Value(g, type, g.op('MaxUnpool', [dy!.as(NCHW), where!, shape], pool), NCHW);
  },
};

/** Means of windows; what padding adds counts for nothing. */
const averagePool: Operator = {
  name: 'AvgPool',
  write: (g, [x], attributes, type) =>
    new Value(g, type, g.op('AveragePool', [x!.as(NCHW)], onnxAttributes(attributes)), NCHW),
};

/** Spreads each gradient evenly over the pixels of its window; pixels of no window have none. */
const averagePoolGradient: Operator = {
  name: 'AvgPoolGrad',
  shapeBound: true,
  write(g, [dy], attributes, type) {
    const [down, across] = attributes.kernel as [number, number];
    const [, height, width] = type.shape as [number, number, number, number];
    const [, rows, columns] = dy!.type.shape as [number, number, number, number];
    const scales = g.initializer('float32', [4], Float32Array.of(1, 1, down, across));
    const how = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
    const spread = g.op('Resize', [g.op('Div', [dy!.as(NCHW), g.scalar(down * across)]), '', scales], how);
    const left = [0, 0, 0, 0, 0, 0, height - rows * down, width - columns * across];
    return new Value(g, type, left.some((px) => px > 0) ? g.op('Pad', [spread, g.ints(left)]) : spread, NCHW);
  },
};

/** Gradients are written for windows that lie side by side, as those of networks that tile exactly do. */
function refuseOverlaps(name: string, { info, attributes }: ReturnType<typeof geometryOf>): void {
  const overlapping = info.strideHeight < info.filterHeight || info.strideWidth < info.filterWidth;
  if (overlapping || attributes.pads.some((p) => p > 0)) {
    throw new UnsupportedKernelError(name, 'windows that overlap or are padded');
  }
}

export const poolKernels: readonly Kernel[] = [
  kernel<{ x: tf.TensorInfo }, PoolAttributes>('MaxPool', ({ inputs: { x }, attrs, backend }) => {
    const { info, attributes } = geometryOf(x, attrs);
    return backend.record(maxPool, [x], attributes, info.outShape, x.dtype);
  }),
  kernel<{ dy: tf.TensorInfo; input: tf.TensorInfo }, PoolAttributes>(
    'MaxPoolGrad',
    ({ inputs: { dy, input }, attrs, backend }) => {
      const geometry = geometryOf(input, attrs);
      refuseOverlaps('MaxPoolGrad', geometry);
      return backend.record(maxPoolGradient, [dy, input], geometry.attributes, input.shape, 'float32');
    },
  ),
  kernel<{ x: tf.TensorInfo }, PoolAttributes>('AvgPool', ({ inputs: { x }, attrs, backend }) => {
    const { info, attributes } = geometryOf(x, attrs);
    return backend.record(averagePool, [x], attributes, info.outShape, 'float32');
  }),
  kernel<{ dy: tf.TensorInfo; input: tf.TensorInfo }, PoolAttributes>(
    'AvgPoolGrad',
    ({ inputs: { dy, input }, attrs, backend }) => {
      const geometry = geometryOf(input, attrs);
      const { info, attributes } = geometry;
      refuseOverlaps('AvgPoolGrad', geometry);
      if (info.strideHeight !== info.filterHeight || info.strideWidth !== info.filterWidth) {
        throw new UnsupportedKernelError('AvgPoolGrad', 'windows with pixels between them');
      }
      return backend.record(averagePoolGradient, [dy], attributes, input.shape, 'float32');
    },
  ),
];
