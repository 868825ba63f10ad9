import tf = require('@tensorflow/tfjs-core');

import { type AxisStep, repeat, windows } from '../../network/axis/steps.js';
import type { NodeContext } from '../node-context.js';
import { rawNode } from '../raw-node.js';
import type { GraphValue } from '../values.js';

/** Divides each px into `size`² px, by its channels. */
function depthToSpace(c: NodeContext): GraphValue {
  const x = c.nchw(0);
  const size = c.int('blocksize', 2);
  const mode = c.string('mode', 'DCR');
  const channels = x.channels / (size * size);
  if (size < 1 || !Number.isInteger(channels))
    c.unsupported(`it divides ${x.channels} channels into ${size * size} parts`);
  if (mode !== 'DCR' && mode !== 'CRD') c.unsupported(`its mode is "${mode}"`);
  const steps = [repeat(size), repeat(size)] as const;
  return c.emit({
    images: [x],
    channels,
    steps,
    parameters: { size, mode },
    compute: ([image]) =>
      mode === 'DCR'
        ? tf.depthToSpace(image!, size)
        : shuffled(c, image!, { blocksize: size, mode }, steps, channels),
  });
}

/** Brings blocks of `size`² px together, as channels of one px. */
function spaceToDepth(c: NodeContext): GraphValue {
  const x = c.nchw(0);
  const size = c.int('blocksize', 2);
  if (size < 1) c.unsupported(`its blocksize is ${size}`);
  const step = windows({ kernel: size, stride: size });
  const channels = x.channels * size * size;
  return c.emit({
    images: [x],
    channels,
    steps: [step, step],
    parameters: { size },
    compute: ([image]) => shuffled(c, image!, { blocksize: size }, [step, step], channels),
  });
}

function shuffled(
  c: NodeContext,
  image: tf.Tensor4D,
  attributes: Readonly<Record<string, number | string>>,
  steps: readonly [AxisStep, AxisStep],
  channels: number,
): tf.Tensor4D {
  const size = steps.map((step, axis) => step.at(image.shape[axis + 1]!).length);
  const node = { name: c.node.name, opType: c.node.opType, attributes, inputs: ['image'] as const };
  return rawNode(node, [image], [image.shape[0], ...size, channels]);
}

/** Operators that make px of channels, and channels of px. */
export const shuffling: Readonly<Record<string, (c: NodeContext) => GraphValue>> = {
  DepthToSpace: depthToSpace,
  SpaceToDepth: spaceToDepth,
};
