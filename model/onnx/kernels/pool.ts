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
    // U-Nets halve images; other windows are rare, and leave the blocks
    const [, height, width] = shapes.output as [number, number, number, number];
    const isHalving = [...windows.kernel_shape, ...windows.strides].every((n) => n === 2);
    if (x.isBlocked && isHalving && height % 2 === 0 && width % 2 === 0) {
      return output.value(poolGradientOfBlocks(g, dy.as(BLOCKED), x, shapes.output), BLOCKED);
    }
    const [, indices] = g.ops('MaxPool', [x.as(NCHW)], windows, 2);
    const shape = g.ints(NCHW.map((dim) => shapes.output[dim]!));
    return output.value(g.op('MaxUnpool', [dy.as(NCHW), indices!, shape], windows), NCHW);
  },
};

/**
 * The gradient of pooling an image in blocks by windows of 2² pixels, first to the rows of each window and then to the
 * columns: of two, the first one gets it unless the second is larger. So it is routed to the first maximum, row by row.
 */
function poolGradientOfBlocks(g: GraphWriter, dy: string, x: Value, shape: Shape): string {
  const [batch, height, width, channels] = shape as [number, number, number, number];
  const image = x.as(BLOCKED);
  const columns = { kernel_shape: [1, 2], strides: [1, 2], pads: [0, 0, 0, 0] };
  const rowMaxima = g.op(`${NCHWC}:MaxPool`, [image], columns);
  const rowLength = (width / 2) * g.block!;
  const ofRows = route(g, dy, firstMask(g, rowMaxima, [2, 1], channels), rowLength);
  const half = g.op('Reshape', [ofRows, g.ints([batch, channels, height, width / 2])]);
  const ofPixels = route(g, half, firstMask(g, image, [1, 2], channels), g.block!);
  return g.op('Reshape', [ofPixels, g.ints([batch, channels, height, width])]);
}

/** For each pair of pixels side by side, or one below the other: 1 where the first is at least the second, else 0. */
function firstMask(
  g: GraphWriter,
  image: string,
  kernel: readonly [number, number],
  channels: number,
): string {
  const block = g.block!;
  const filter = Float32Array.from({ length: 2 * channels }, (_, i) => (i % (2 * block) < block ? 1 : -1));
  return g.op(`${NCHWC}:Conv`, [image, g.initializer('float32', [channels, 1, ...kernel], filter)], {
    kernel_shape: kernel,
    strides: kernel,
    group: channels,
    ...STEEP,
  });
}

/** Splits each gradient between two neighbours, interleaving runs of `length`. */
function route(g: GraphWriter, dy: string, toFirst: string, length: number): string {
  const first = g.op('Mul', [dy, toFirst]);
  const runs = [first, g.op('Sub', [dy, first])].map((y) => g.op('Reshape', [y, g.ints([-1, length])]));
  return g.op('Concat', runs, { axis: 1 });
}

/** A step function: 1 for differences of at least 0, else 0, as denormals are flushed. */
const STEEP = { activation: 'HardSigmoid', activation_params: { floats: [3e38, 1] } } as const;

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
