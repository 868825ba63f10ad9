import tf = require('@tensorflow/tfjs-core');

import { UnsupportedKernelError } from '../../errors.js';
import type { Operator, ShapeBoundOperator } from '../operator.js';
import { NCHWC } from '../proto.js';
import { BLOCKED, NCHW, type Shape, type Value } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';

/** The windows of a pooling, as the attributes of ONNX's pooling operators. */
type Windows = {
  readonly kernel_shape: readonly [height: number, width: number];
  readonly strides: readonly [down: number, across: number];
  /** Top, left, bottom, right. */
  readonly pads: readonly [number, number, number, number];
};

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

/** Routes each gradient to the first maximum of its window, as TensorFlow.js does. */
const maxPoolGradient: ShapeBoundOperator<Windows, readonly [dy: Value, x: Value]> = {
  name: 'MaxPoolGrad',
  shapeBound: true,
  emit(g, [dy, x], windows, output, shapes) {
    const [, height, width] = shapes.output as [number, number, number, number];
    const { kernel_shape, strides } = windows;
    const [size] = kernel_shape;
    const isTiled = [...kernel_shape, ...strides].every((n) => n === size);
    if (x.isBlocked && isTiled && height % size === 0 && width % size === 0) {
      const routed = routeBlocks(g, dy.as(BLOCKED), x, size);
      return output.value(weave(g, routed, shapes.output, size), BLOCKED);
    }
    const [, indices] = g.ops('MaxPool', [x.as(NCHW)], windows, 2);
    const shape = g.ints(NCHW.map((dim) => shapes.output[dim]!));
    return output.value(g.op('MaxUnpool', [dy.as(NCHW), indices!, shape], windows), NCHW);
  },
};

/**
 * The gradient of pooling an image in blocks by windows of `size`² pixels. A pixel is the first maximum if the maximum
 * of the pixels up to it, row by row, is that of the window, and the maximum of those before it is not. The pixels up
 * to one are those of two rectangles at the window's origin, so their maximum is pooled, too.
 * @returns for each pixel of a window, row by row, the gradients of all windows
 */
function routeBlocks(g: GraphWriter, dy: string, x: Value, size: number): string[] {
  const pool = (rows: number, columns: number) =>
    g.op(`${NCHWC}:MaxPool`, [x.as(BLOCKED)], {
      kernel_shape: [rows, columns],
      strides: [size, size],
      pads: [0, 0, 0, 0],
    });
  const largest = pool(size, size);
  // the gradient where the maximum is among the pixels up to each one
  const reached = Array.from({ length: size * size - 1 }, (_, at) => {
    const [row, column] = [Math.floor(at / size), at % size];
    const last = pool(row + 1, column + 1);
    const upTo = row === 0 || column === size - 1 ? last : g.op('Max', [pool(row, size), last]);
    const isLargest = g.op('HardSigmoid', [g.op('Sub', [upTo, largest])], STEEP);
    return g.op('Mul', [dy, isLargest]);
  });
  return [...reached, dy].map((y, i) => (i === 0 ? y : g.op('Sub', [y, reached[i - 1]!])));
}

/**
 * Brings the pixels of `size`² images in blocks to their places in one image of `shape`: by concatenations along columns
 * and then along rows, which take half the time of a transposition of all of them.
 */
function weave(g: GraphWriter, images: readonly string[], shape: Shape, size: number): string {
  const [batch, height, width, channels] = shape as [number, number, number, number];
  const join = (parts: readonly string[], length: number) =>
    g.op(
      'Concat',
      parts.map((part) => g.op('Reshape', [part, g.ints([-1, length])])),
      { axis: 1 },
    );
  const rows = Array.from({ length: size }, (_, row) =>
    join(images.slice(row * size, (row + 1) * size), g.block!),
  );
  return g.op('Reshape', [join(rows, width * g.block!), g.ints([batch, channels, height, width])]);
}

/** Turns a HardSigmoid into the question whether numbers that are never positive are 0: its results are 1 or 0. */
const STEEP = { alpha: { float: 3e38 }, beta: { float: 1 } } as const;

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
    const uncovered = [height - rows * down, width - columns * across] as const;
    if (uncovered.every((px) => px === 0)) return output.value(spread, NCHW);
    return output.value(g.op('Pad', [spread, g.ints([0, 0, 0, 0, 0, 0, ...uncovered])]), NCHW);
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
