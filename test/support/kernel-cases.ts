import * as tf from '@tensorflow/tfjs-core';
import { noise } from './oracle.js';

export const f = (shape: number[], seed = 1, low = -2, high = 2) =>
  tf.tensor(noise(tf.util.sizeFromShape(shape), seed, low, high), shape);
const ints = (shape: number[], seed = 1, low = 0, high = 5) =>
  tf.cast(tf.floor(f(shape, seed, low, high)), 'int32');
const bools = (shape: number[], seed = 1) => tf.greater(f(shape, seed), 0);

/** A computation on the given tensors; gradients are taken with respect to the float ones. */
export type Case = [
  name: string,
  inputs: () => tf.Tensor[],
  compute: (...x: never[]) => tf.Tensor,
  grads?: boolean,
];
type T = tf.Tensor;
type T4 = tf.Tensor4D;

const unary = (
  [
    'abs',
    'ceil',
    'exp',
    'floor',
    'neg',
    'relu',
    'round',
    'sigmoid',
    'sign',
    'softplus',
    'square',
    'step',
    'tanh',
  ] as const
).flatMap((name): Case[] => [
  [`${name} of a matrix`, () => [f([3, 5])], (x: T) => tf[name](x) as T, true],
  [`${name} of an image`, () => [f([2, 3, 5, 4], 7)], (x: T) => tf[name](x) as T, true],
  [`${name} of a scalar`, () => [f([], 3)], (x: T) => tf[name](x) as T, true],
]);
const positive = (['log', 'log1p', 'reciprocal', 'rsqrt', 'sqrt'] as const).map(
  (name): Case => [name, () => [f([4, 3], 5, 0.5, 4)], (x: T) => tf[name](x) as T, true],
);
const broadcasts: [number[], number[]][] = [
  [
    [3, 4],
    [3, 4],
  ],
  [[3, 4], [4]],
  [[], [2, 3]],
  [
    [2, 1, 3],
    [4, 1],
  ],
  [[2, 5, 6, 3], [3]],
  [
    [2, 5, 6, 3],
    [1, 1, 1, 3],
  ],
  [
    [1, 6, 1],
    [2, 5, 6, 3],
  ],
];
const binary = (['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'squaredDifference'] as const).flatMap(
  (name) =>
    broadcasts.map(
      ([a, b]): Case => [
        `${name} [${a}] with [${b}]`,
        () => [f(a, 1), f(b, 2, 0.5, 3)],
        (x: T, y: T) => tf[name](x, y) as T,
        // tfjs has no broadcast gradient for the others
        name.length === 3 || a.join() === b.join(),
      ],
    ),
);
const compare = (['equal', 'notEqual', 'greater', 'greaterEqual', 'less', 'lessEqual'] as const).flatMap(
  (name): Case[] => [
    [`${name} of integers`, () => [ints([4, 6], 1), ints([6], 2)], (x: T, y: T) => tf[name](x, y) as T],
    [`${name} of floats`, () => [f([4, 6]), f([4, 1], 2)], (x: T, y: T) => tf[name](x, y) as T],
  ],
);
const reductions = (['sum', 'mean', 'max', 'min', 'prod'] as const).flatMap((name) =>
  (
    [
      [undefined, false],
      [0, false],
      [[1, 2], true],
      [-1, false],
      [[0, 1, 2], false],
      [[1], false],
      [[3], true],
    ] as [number[] | number | undefined, boolean][]
  ).map(
    ([axis, keep]): Case => [
      `${name} over ${axis ?? 'all'}${keep ? ', kept' : ''}`,
      () => [f([2, 3, 4, 3])],
      (x: T) => tf[name](x, axis, keep) as T,
      name === 'sum' || name === 'mean',
    ],
  ),
);
const convolutions = (
  [
    // height, width, in, out, kernel, stride, pad, dilation, batch
    [7, 9, 3, 4, 3, 1, 'valid', 1, 1],
    [7, 9, 3, 4, 3, 1, 'same', 1, 2],
    [7, 9, 4, 3, 3, 1, 'valid', 1, 3],
    // channels computed in blocks
    [7, 9, 16, 32, 3, 1, 'valid', 1, 2],
    [6, 7, 32, 16, 3, 1, 'same', 1, 1],
    [8, 6, 32, 16, 2, 2, 'valid', 1, 2],
    [5, 6, 16, 16, 1, 1, 'valid', 1, 2],
    [9, 8, 16, 16, 3, 2, 'valid', 1, 2],
    [7, 7, 3, 16, 3, 1, 'same', 1, 17],
    [7, 9, 3, 2, 2, 1, 'same', 1, 2],
    [8, 6, 2, 3, 1, 1, 'valid', 1, 2],
    [9, 9, 1, 2, 5, 1, 'same', 1, 1],
    [8, 10, 3, 5, 2, 2, 'valid', 1, 2],
    [9, 11, 3, 2, 3, 2, 'same', 1, 1],
    [9, 8, 2, 2, 3, 2, 'valid', 1, 1],
    [6, 6, 2, 3, 2, 1, 'valid', 1, 1],
  ] as [number, number, number, number, number, number, 'same' | 'valid', number, number][]
).map(
  ([h, w, i, o, k, stride, pad, dilation, n]): Case => [
    `conv2d ${k}×${k}, stride ${stride}, ${pad}, ${n}×${h}×${w}×${i} to ${o}`,
    () => [f([n, h, w, i], 1), f([k, k, i, o], 2)],
    (x: T4, filter: T4) => tf.conv2d(x, filter, stride, pad, 'NHWC', dilation),
    true,
  ],
);
const upConvolutions = (
  [
    [2, 2, 'valid', 1],
    [2, 2, 'valid', 3],
    [3, 3, 'valid', 1],
    [3, 2, 'same', 1],
    [3, 1, 'same', 2],
  ] as [number, number, 'same' | 'valid', number][]
).map(
  ([k, stride, pad, n]): Case => [
    `conv2dTranspose ${k}×${k}, stride ${stride}, ${pad}, batch ${n}`,
    () => [f([n, 4, 5, 3], 1), f([k, k, 2, 3], 2)],
    (x: T4, filter: T4) => {
      const size = (length: number) => (pad === 'valid' ? (length - 1) * stride + k : length * stride);
      return tf.conv2dTranspose(x, filter, [n, size(4), size(5), 2], stride, pad);
    },
    true,
  ],
);

/** Computations that together run every kernel of our backend. */
export const cases: Case[] = [
  ...unary,
  ...positive,
  ...binary,
  ...compare,
  ...reductions,
  ...convolutions,
  ...upConvolutions,
  ['pow', () => [f([3, 4], 1, 0.5, 2), f([4], 2)], (x: T, y: T) => tf.pow(x, y), true],
  ['add of integers', () => [ints([3, 4]), ints([4], 2)], (x: T, y: T) => tf.add(x, y)],
  [
    'div of integers',
    () => [ints([3, 4]), ints([4], 2, 1, 9)],
    (x: T, y: T) => tf.div(tf.cast(x, 'float32'), tf.cast(y, 'float32')),
  ],
  ['logicalAnd', () => [bools([3, 4]), bools([4], 2)], (x: T, y: T) => tf.logicalAnd(x, y)],
  ['logicalOr', () => [bools([3, 4]), bools([4], 2)], (x: T, y: T) => tf.logicalOr(x, y)],
  ['logicalNot', () => [bools([3, 4])], (x: T) => tf.logicalNot(x)],
  ['addN', () => [f([3, 4]), f([3, 4], 2), f([3, 4], 3)], (a: T, b: T, c: T) => tf.addN([a, b, c]), true],
  ['clipByValue', () => [f([3, 4])], (x: T) => tf.clipByValue(x, -0.5, 1), true],
  ['erf', () => [f([1, 3, 4, 2])], (x: T) => tf.erf(x)],
  ['leakyRelu', () => [f([1, 3, 4, 2])], (x: T) => tf.leakyRelu(x, 0.1)],
  ['prelu', () => [f([1, 3, 4, 2]), f([2], 2)], (x: T, slope: T) => tf.prelu(x, slope)],
  ['depthToSpace', () => [f([2, 3, 4, 12])], (x: T4) => tf.depthToSpace(x, 2)],
  [
    'depthToSpace in blocks',
    () => [f([1, 4, 5, 16]), f([1, 1, 16, 64], 2)],
    (x: T4, w: T4) => tf.depthToSpace(tf.conv2d(x, w, 1, 'valid'), 2),
  ],
  ['step with a slope', () => [f([3, 4])], (x: T) => tf.step(x, 0.2)],
  ['where', () => [bools([3, 4]), f([3, 4]), f([3, 4], 2)], (c: T, a: T, b: T) => tf.where(c, a, b)],
  ['sum of booleans', () => [bools([5, 4])], (x: T) => tf.sum(x, 1)],
  ['mean of integers', () => [ints([5, 4])], (x: T) => tf.mean(x, 0)],
  ['argMax of an image', () => [f([2, 5, 6, 3])], (x: T) => tf.argMax(x, -1)],
  ['argMax with ties', () => [ints([40, 3], 4, 0, 2)], (x: T) => tf.argMax(x, 1)],
  ['argMin', () => [f([4, 5])], (x: T) => tf.argMin(x, 0)],
  ['softmax', () => [f([2, 3, 4, 3])], (x: T) => tf.softmax(x), true],
  ['logSoftmax', () => [f([2, 3, 4, 3])], (x: T) => tf.logSoftmax(x), true],
  ['logSumExp', () => [f([2, 3, 4, 3])], (x: T) => tf.logSumExp(x, -1), true],
  ['maxPool 2×2', () => [f([2, 6, 8, 3])], (x: T4) => tf.maxPool(x, 2, 2, 'valid'), true],
  ['maxPool of an odd size', () => [f([1, 7, 9, 2])], (x: T4) => tf.maxPool(x, 2, 2, 'valid'), true],
  [
    'maxPool with ties',
    () => [tf.cast(ints([1, 8, 8, 2], 3, 0, 3), 'float32')],
    (x: T4) => tf.maxPool(x, 2, 2, 'valid'),
    true,
  ],
  [
    'maxPool with ties, of a ReLU in blocks of channels',
    () => [f([1, 10, 10, 3]), f([3, 3, 3, 16], 2)],
    (x: T4, w: T4) => tf.maxPool(tf.relu(tf.conv2d(x, w, 1, 'valid')) as T4, 2, 2, 'valid'),
    true,
  ],
  ['maxPool 3×2', () => [f([2, 9, 7, 3])], (x: T4) => tf.maxPool(x, [3, 2], [3, 2], 'valid'), true],
  [
    'maxPool with pixels between windows',
    () => [f([1, 7, 9, 2])],
    (x: T4) => tf.maxPool(x, [2, 1], [3, 2], 'valid'),
    true,
  ],
  ['maxPool 3×3, stride 2, same', () => [f([1, 7, 8, 2])], (x: T4) => tf.maxPool(x, 3, 2, 'same')],
  ['avgPool 2×2', () => [f([2, 6, 8, 3])], (x: T4) => tf.avgPool(x, 2, 2, 'valid'), true],
  [
    'avgPool of an odd size',
    () => [f([1, 7, 10, 2])],
    (x: T4) => tf.avgPool(x, [2, 3], [2, 3], 'valid'),
    true,
  ],
  ['avgPool 3×3, stride 2, same', () => [f([1, 7, 8, 2])], (x: T4) => tf.avgPool(x, 3, 2, 'same')],
  [
    // one image: for batches the cpu backend's gradient reads from the wrong offset
    'nearest pixels, doubled',
    () => [f([1, 3, 4, 3])],
    (x: T4) => tf.image.resizeNearestNeighbor(x, [6, 8]),
    true,
  ],
  [
    'nearest pixels of another size',
    () => [f([1, 5, 4, 2])],
    (x: T4) => tf.image.resizeNearestNeighbor(x, [7, 9]),
    true,
  ],
  [
    'nearest pixels with aligned corners',
    () => [f([1, 5, 4, 2])],
    (x: T4) => tf.image.resizeNearestNeighbor(x, [8, 11], true),
    true,
  ],
  [
    'batch normalisation',
    () => [f([2, 3, 4, 3]), f([3], 2), f([3], 3, 0.5, 2), f([3], 4), f([3], 5)],
    (x: T4, mean: tf.Tensor1D, variance: tf.Tensor1D, offset: tf.Tensor1D, scale: tf.Tensor1D) =>
      tf.batchNorm(x, mean, variance, offset, scale, 1e-3),
    true,
  ],
  [
    'the same shape again, of a convolved image',
    () => [f([1, 6, 6, 2]), f([3, 3, 2, 2], 2)],
    (x: T4, w: T4) => tf.relu(tf.reshape(tf.conv2d(x, w, 1, 'valid'), [1, 4, 4, 2])),
    true,
  ],
  [
    'a chain of convolutions in blocks, of all that may stand between them',
    () => [f([2, 10, 9, 16]), f([3, 3, 16, 16], 2, -0.3, 0.3), f([3, 3, 16, 32], 3, -0.3, 0.3), f([16], 4)],
    (x: T4, v: T4, w: T4, bias: T) => {
      const y = tf.relu(tf.add(tf.conv2d(x, v, 1, 'valid'), bias)) as T4;
      const z = tf.conv2d(tf.mul(y, y) as T4, w, 1, 'valid');
      return tf.concat(
        [
          tf.slice(tf.sigmoid(z), [0, 1, 1, 0], [2, 3, 2, 32]),
          tf.slice(tf.mean(z, 3, true), [0, 1, 1, 0], [2, 3, 2, 1]),
        ],
        3,
      );
    },
    true,
  ],
  ['cast to int', () => [f([3, 4], 1, -3, 3)], (x: T) => tf.cast(x, 'int32')],
  ['cast to bool', () => [ints([3, 4], 1, 0, 2)], (x: T) => tf.cast(x, 'bool')],
  ['cast of booleans', () => [bools([3, 4])], (x: T) => tf.cast(x, 'float32')],
  ['reshape', () => [f([3, 4])], (x: T) => tf.reshape(tf.relu(x), [2, -1]), true],
  ['expandDims', () => [f([3, 4])], (x: T) => tf.expandDims(tf.relu(x), 1), true],
  ['slice', () => [f([4, 5, 6])], (x: T) => tf.slice(x, [1, 0, 2], [2, 5, 3]), true],
  ['slice of the whole', () => [f([4, 5])], (x: T) => tf.slice(x, [0, 0], [4, 5]), true],
  [
    'slice of a convolved image',
    () => [f([1, 8, 8, 3]), f([3, 3, 3, 2], 2)],
    (x: T4, w: T4) => tf.slice(tf.conv2d(x, w, 1, 'valid'), [0, 1, 2, 0], [1, 3, 4, 2]),
    true,
  ],
  [
    'pad',
    () => [f([3, 4])],
    (x: T) =>
      tf.pad(
        x,
        [
          [1, 2],
          [0, 3],
        ],
        0.5,
      ),
    true,
  ],
  [
    'pad of an image',
    () => [f([1, 3, 4, 2])],
    (x: T) =>
      tf.pad(tf.maxPool(x as T4, 1, 1, 'valid'), [
        [0, 0],
        [1, 2],
        [0, 3],
        [0, 0],
      ]),
    true,
  ],
  ['concat', () => [f([2, 3]), f([2, 4], 2)], (a: T, b: T) => tf.concat([a, b], 1), true],
  [
    'concat of convolved images',
    () => [f([2, 5, 5, 3]), f([1, 1, 3, 2], 2)],
    (x: T4, w: T4) => tf.concat([tf.conv2d(x, w, 1, 'valid'), x], 3),
    true,
  ],
  ['concat with nothing', () => [f([2, 3]), f([2, 0], 2)], (a: T, b: T) => tf.concat([a, b], 1)],
  ['stack', () => [f([2, 3]), f([2, 3], 2)], (a: T, b: T) => tf.stack([a, b], -1), true],
  ['unstack', () => [f([4, 3])], (x: T) => tf.unstack(x, 0)[2]!, true],
  ['split', () => [f([4, 6])], (x: T) => tf.add(tf.split(x, 3, 1)[1]!, tf.split(x, [1, 2, 3], 1)[1]!), true],
  ['transpose', () => [f([2, 3, 4])], (x: T) => tf.transpose(x, [2, 0, 1]), true],
  [
    'transpose of a convolved image',
    () => [f([1, 5, 6, 3]), f([1, 1, 3, 2], 2)],
    (x: T4, w: T4) => tf.transpose(tf.conv2d(x, w, 1, 'valid'), [0, 2, 1, 3]),
    true,
  ],
  ['reverse', () => [f([3, 4, 5])], (x: T) => tf.reverse(x, [0, 2]), true],
  ['tile', () => [f([2, 3])], (x: T) => tf.tile(x, [2, 3]), true],
  ['gather', () => [f([5, 3]), ints([4], 2)], (x: T, i: T) => tf.gather(x, i as tf.Tensor1D, 0)],
  ['oneHot', () => [ints([3, 4], 2, 0, 4)], (i: T) => tf.oneHot(i, 4)],
  [
    'fill, zerosLike, onesLike',
    () => [f([2, 3])],
    (x: T) => tf.add(tf.add(tf.fill([2, 3], 4), tf.zerosLike(x)), tf.onesLike(x)),
  ],
  [
    'mixed layouts',
    () => [f([1, 6, 6, 2]), f([3, 3, 2, 2], 2), f([4, 4, 2], 3)],
    (x: T4, w: T4, b: T) => tf.mul(tf.add(tf.conv2d(x, w, 1, 'valid'), b), tf.sum(x)),
    true,
  ],
];

/** What a case computes: its value, and its gradients where it has them. */
export function compute([, inputs, call, grads = false]: Case): tf.Tensor | tf.Tensor[] {
  const x = inputs();
  const value = call as (...x: tf.Tensor[]) => tf.Tensor;
  if (!grads) return value(...x);
  // A weighted sum as the loss, so that every element of the output has a different gradient.
  const loss = (...t: tf.Tensor[]): tf.Scalar => {
    const y = value(...t);
    return tf.sum(tf.mul(y, f(y.shape, 99)));
  };
  return [value(...x), ...tf.grads(loss)(x)];
}
