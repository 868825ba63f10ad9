import tf = require('@tensorflow/tfjs-core');

import { windows } from '../../network/axis/steps.js';
import type { NodeContext } from '../node-context.js';
import { rawNode } from '../raw-node.js';
import type { ImageValue } from '../values.js';
import { type Both, explicit, padsAt, windowsOf } from './windows.js';

type Steps = Both<ReturnType<typeof windows>>;

/** Padding with which windows that reach beyond it at the end are complete, so that none has to be rounded. */
function wholePads(steps: Steps, options: ReturnType<typeof windowsOf>, image: tf.Tensor4D) {
  const pads = padsAt(options, image);
  for (const axis of [0, 1] as const) {
    const { kernel, stride = 1, dilation = 1 } = options[axis];
    const length = image.shape[axis + 1]!;
    const needed = (steps[axis].at(length).length - 1) * stride + (kernel - 1) * dilation + 1;
    pads[axis + 2] = Math.max(pads[axis + 2]!, needed - length - pads[axis]!);
  }
  return pads;
}

function pool(c: NodeContext, kind: 'MaxPool' | 'AveragePool'): ImageValue {
  const x = c.nchw(0);
  const kernel = c.ints('kernel_shape') as Both<number> | null;
  if (kernel?.length !== 2) return c.unsupported('it pools other dimensions than rows and columns');
  if (kernel.some((n) => n < 1)) c.unsupported(`its kernel_shape is [${kernel}]`);
  c.disregard('storage_order'); // of indices, which nothing can read
  const options = windowsOf(c, kernel);
  const steps = [windows(options[0]), windows(options[1])] as const;
  const strides = options.map(({ stride }) => stride!) as [number, number];
  const dilations = options.map(({ dilation }) => dilation!) as [number, number];
  if (kind === 'AveragePool' && dilations.some((n) => n !== 1))
    return c.unsupported('it averages px with gaps between them');
  const isPadded = options.some(({ padding, ceil }) => ceil || String(padding) !== '0,0');
  // TensorFlow.js leaves padding out of averages, as ONNX does unless it is told to count it
  const isPlain = dilations.every((n) => n === 1) && (kind === 'MaxPool' || !isPadded);
  const included = c.int('count_include_pad', 0);
  const size = (image: tf.Tensor4D) =>
    steps.map((step, axis) => step.at(image.shape[axis + 1]!).length) as [number, number];
  return c.emit({
    images: [x],
    steps,
    parameters: { kind, options, included },
    compute: ([image]) => {
      if (isPlain && kind === 'MaxPool') {
        const pads = wholePads(steps, options, image!);
        return tf.maxPool(image!, [...kernel], strides, isPadded ? explicit(pads) : 'valid');
      }
      if (isPlain) return tf.avgPool(image!, [...kernel], strides, 'valid');
      const attributes = {
        kernel_shape: kernel,
        strides,
        pads: kind === 'MaxPool' ? wholePads(steps, options, image!) : padsAt(options, image!),
        ...(kind === 'MaxPool' && { dilations }),
        ...(kind === 'AveragePool' && { count_include_pad: included, ceil_mode: c.int('ceil_mode', 0) }),
      };
      return rawNode(
        { name: c.node.name, opType: kind, attributes, inputs: ['image'] },
        [image!],
        [image!.shape[0], ...size(image!), x.channels],
      );
    },
  });
}

export const maxPool = (c: NodeContext): ImageValue => pool(c, 'MaxPool');
export const averagePool = (c: NodeContext): ImageValue => pool(c, 'AveragePool');
