import type * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import type { Operator, ShapeBoundOperator } from '../operator.js';
import { NCHWC } from '../proto.js';
import { BLOCKED, NCHW, type Shape } from '../value.js';
import type { GraphWriter } from '../writer.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';

/** Whole factors by which height and width grow. */
interface Enlargement {
  readonly factors: readonly [down: number, across: number];
}

interface Picking {
  readonly alignCorners: boolean;
}

/** Enlarges by whole factors. Its nodes hold for every image size, so frozen graphs stay symbolic. */
const enlarge: Operator<Enlargement> = {
  name: 'Enlarge',
  emit(g, [x], { factors }, output) {
    if (x.isBlocked) {
      const scales = [1, 1, ...factors];
      return output.value(g.op(`${NCHWC}:Upsample`, [x.as(BLOCKED)], { scales }), BLOCKED);
    }
    const scales = g.initializer('float32', [4], Float32Array.of(1, 1, ...factors));
    const nearest = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
    return output.value(g.op('Resize', [x.as(NCHW), '', scales], nearest), NCHW);
  },
};

/** Sums the gradients of each pixel's copies. */
const enlargeGradient: Operator<Enlargement> = {
  name: 'EnlargeGrad',
  emit(g, [dy], { factors }, output) {
    const mean = g.op('AveragePool', [dy.as(NCHW)], { kernel_shape: factors, strides: factors });
    return output.value(g.op('Mul', [mean, g.scalar(factors[0] * factors[1])]), NCHW);
  },
};

/** Resizes to any other size: picks rows and columns by index. */
const pick: ShapeBoundOperator<Picking> = {
  name: 'Pick',
  shapeBound: true,
  emit(g, [x], { alignCorners }, output, shapes) {
    const [rows, columns] = sourceIndices(shapes.inputs[0], shapes.output, alignCorners);
    const picked = g.op('Gather', [x.as(NCHW), g.ints(rows)], { axis: 2 });
    return output.value(g.op('Gather', [picked, g.ints(columns)], { axis: 3 }), NCHW);
  },
};

/** Applies the transpose of `pick`, as matrices of zeros and ones. */
const pickGradient: ShapeBoundOperator<Picking> = {
  name: 'PickGrad',
  shapeBound: true,
  emit(g, [dy], { alignCorners }, output, shapes) {
    const [rows, columns] = sourceIndices(shapes.output, shapes.inputs[0], alignCorners);
    const [, height, width] = shapes.output as [number, number, number, number];
    const summed = g.op('MatMul', [matrix(g, rows, height, true), dy.as(NCHW)]);
    return output.value(g.op('MatMul', [summed, matrix(g, columns, width, false)]), NCHW);
  },
};

/** A matrix `[from.length, length]`, or its transpose, with a one in each row at that row's index. */
function matrix(g: GraphWriter, from: readonly number[], length: number, transposed: boolean): string {
  const values = new Float32Array(from.length * length);
  for (const [i, at] of from.entries()) values[transposed ? at * from.length + i : i * length + at] = 1;
  return g.initializer('float32', transposed ? [length, from.length] : [from.length, length], values);
}

/** The row and the column of `from` that each one of `to` is taken from, by TensorFlow's rule. */
function sourceIndices(from: Shape, to: Shape, alignCorners: boolean): [rows: number[], columns: number[]] {
  const along = (axis: number) => {
    const [a, b] = [from[axis]!, to[axis]!];
    const scale = alignCorners && b > 1 ? (a - 1) / (b - 1) : a / b;
    const at = (i: number) => (alignCorners ? Math.round(i * scale) : Math.floor(i * scale));
    return Array.from({ length: b }, (_, i) => Math.min(a - 1, at(i)));
  };
  return [along(1), along(2)];
}

/** The whole factors of height and width from one shape to another; null where there are none. */
function factorsOf(small: Shape, large: Shape): Enlargement['factors'] | null {
  const factors = [large[1]! / small[1]!, large[2]! / small[2]!] as const;
  return factors.every(Number.isInteger) ? factors : null;
}

export const resizeKernels: readonly Kernel[] = [
  kernel<Tensors<'images'>, tf.ResizeNearestNeighborAttrs>(
    'ResizeNearestNeighbor',
    ({ inputs: { images }, attrs: { alignCorners, halfPixelCenters, size }, backend }) => {
      if (halfPixelCenters) throw new UnsupportedKernelError('ResizeNearestNeighbor', 'halfPixelCenters');
      const shape = [images.shape[0]!, ...size, images.shape[3]!];
      const factors = alignCorners ? null : factorsOf(images.shape, shape);
      if (factors) return backend.record(enlarge, [images], { factors }, shape, 'float32');
      return backend.record(pick, [images], { alignCorners }, shape, 'float32');
    },
  ),
  kernel<Tensors<'images' | 'dy'>, tf.ResizeNearestNeighborGradAttrs>(
    'ResizeNearestNeighborGrad',
    ({ inputs: { images, dy }, attrs: { alignCorners }, backend }) => {
      const factors = alignCorners ? null : factorsOf(images.shape, dy.shape);
      if (factors) return backend.record(enlargeGradient, [dy], { factors }, images.shape, 'float32');
      return backend.record(pickGradient, [dy], { alignCorners }, images.shape, 'float32');
    },
  ),
];
