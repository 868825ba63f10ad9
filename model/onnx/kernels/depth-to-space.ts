import type * as tf from '@tensorflow/tfjs-core';
import { UnsupportedKernelError } from '../../errors.js';
import type { Operator } from '../operator.js';
import { BLOCKED, NCHW } from '../value.js';
import { type Kernel, kernel, type Tensors } from './kernel.js';
import { shufflePixels } from './pixel-shuffle.js';

interface Division {
  readonly size: number;
  /** Of the output. */
  readonly channels: number;
}

/** Divides each px into `size`² px, whose channels follow each other. */
const depthToSpace: Operator<Division> = {
  name: 'DepthToSpace',
  emit(g, [x], { size, channels }, output) {
    if (x.isBlocked && channels % g.block! === 0) {
      return output.value(shufflePixels(g, x.as(BLOCKED), size, channels), BLOCKED);
    }
    return output.value(g.op('DepthToSpace', [x.as(NCHW)], { blocksize: size, mode: 'DCR' }), NCHW);
  },
};

export const depthToSpaceKernels: readonly Kernel[] = [
  kernel<Tensors<'x'>, tf.DepthToSpaceAttrs>(
    'DepthToSpace',
    ({ inputs: { x }, attrs: { blockSize: size, dataFormat }, backend }) => {
      if (dataFormat !== 'NHWC') throw new UnsupportedKernelError('DepthToSpace', `dataFormat ${dataFormat}`);
      const [count, height, width, depth] = x.shape as [number, number, number, number];
      const channels = depth / (size * size);
      const shape = [count, height * size, width * size, channels];
      return backend.record(depthToSpace, [x], { size, channels }, shape, x.dtype);
    },
  ),
];
