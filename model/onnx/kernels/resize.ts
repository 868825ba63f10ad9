import type * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import type { Operator } from '../record.js';
import { type GraphWriter, NCHW, Value } from '../writer.js';
import { type Kernel, kernel } from './kernel.js';

interface ResizeAttributes {
  readonly alignCorners: boolean;
  readonly halfPixelCenters: boolean;
  readonly size: [number, number];
}

/** Doubling, or any whole factor: holds for every image size, so that frozen graphs stay open in it. */
const enlarge: Operator = {
  name: 'Enlarge',
  write(g, [x], attributes, type) {
    const [down, across] = attributes.factors as number[];
    const scales = g.initializer('float32', [4], Float32Array.of(1, 1, down!, across!));
    const how = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
    return new Value(g, type, g.op('Resize', [x!.as(NCHW), '', scales], how), NCHW);
  },
};

/** Each pixel's gradient is the sum over the pixels that were made of it. */
const enlargeGradient: Operator = {
  name: 'EnlargeGrad',
  write(g, [dy], attributes, type) {
    const kernel_shape = attributes.factors as number[];
    const mean = g.op('AveragePool', [dy!.as(NCHW)], { kernel_shape, strides: kernel_shape });
    return new Value(g, type, g.op('Mul', [mean, g.scalar(kernel_shape[0]! * kernel_shape[1]!)]), NCHW);
  },
};

/** Any other size: rows and columns picked by index. */
const pick: Operator = {
  name: 'Pick',
  shapeBound: true,
  write(g, [x], attributes, type) {
    const [rows, columns] = indices(x!.type.shape, type.shape, attributes.alignCorners === true);
    const tall = g.op('Gather', [x!.as(NCHW), g.ints(rows)], { axis: 2 });
    return new Value(g, type, g.op('Gather', [tall, g.ints(columns)], { axis: 3 }), NCHW);
  },
};

/** The transpose of the picking, as matrices of zeros and ones. */
const pickGradient: Operator = {
  name: 'PickGrad',
  shapeBound: true,
  write(g, [dy], attributes, type) {
    const [rows, columns] = indices(type.shape, dy!.type.shape, attributes.alignCorners === true);
    const [, height, width] = type.shape as [number, number, number, number];
    const summed = g.op('MatMul', [matrix(g, rows, height, true), dy!.as(NCHW)]);
    return new Value(g, type, g.op('MatMul', [summed, matrix(g, columns, width, false)]), NCHW);
  },
};

/** `[from.length, length]`, or its transpose, with a one in each row at its index. */
function matrix(g: GraphWriter, from: readonly number[], length: number, transposed: boolean): string {
  const values = new Float32Array(from.length * length);
  for (const [i, at] of from.entries()) values[transposed ? at * from.length + i : i * length + at] = 1;
  return g.initializer('float32', transposed ? [length, from.length] : [from.length, length], values);
}

/** Which row and column of `from` each one of `to` is taken from, by TensorFlow's rule. */
function indices(
  from: readonly number[],
  to: readonly number[],
  alignCorners: boolean,
): [number[], number[]] {
  const along = (axis: number) => {
    const [a, b] = [from[axis]!, to[axis]!];
    const scale = alignCorners && b > 1 ? (a - 1) / (b - 1) : a / b;
    const at = (i: number) => (alignCorners ? Math.round(i * scale) : Math.floor(i * scale));
    return Array.from({ length: b }, (_, i) => Math.min(a - 1, at(i)));
  };
  return [along(1), along(2)];
}

/** Whole factors of height and width, or null. */
function factorsOf(small: readonly number[], large: readonly number[]): [number, number] | null {
  const factors: [number, number] = [large[1]! / small[1]!, large[2]! / small[2]!];
  return factors.every(Number.isInteger) ? factors : null;
}

export const resizeKernels: readonly Kernel[] = [
  kernel<{ images: tf.TensorInfo }, ResizeAttributes>(
    'ResizeNearestNeighbor',
    ({ inputs: { images }, attrs: { alignCorners, halfPixelCenters, size }, backend }) => {
      if (halfPixelCenters) throw new UnsupportedKernelError('ResizeNearestNeighbor', 'halfPixelCenters');
      const shape = [images.shape[0]!, ...size, images.shape[3]!];
      const factors = alignCorners ? null : factorsOf(images.shape, shape);
      if (factors) return backend.record(enlarge, [images], { factors }, shape, 'float32');
      return backend.record(pick, [images], { alignCorners, size }, shape, 'float32');
    },
  ),
  kernel<{ images: tf.TensorInfo; dy: tf.TensorInfo }, ResizeAttributes>(
    'ResizeNearestNeighborGrad',
    ({ inputs: { images, dy }, attrs: { alignCorners }, backend }) => {
      const factors = alignCorners ? null : factorsOf(images.shape, dy.shape);
      if (factors) return backend.record(enlargeGradient, [dy], { factors }, images.shape, 'float32');
      const { shape } = images;
      return backend.record(pickGradient, [dy], { alignCorners, shape }, shape, 'float32');
    },
  ),
];
