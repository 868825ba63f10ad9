import tf = require('@tensorflow/tfjs-core');

import { windows } from '../../network/axis/steps.js';
import { type Constant, sizeOf } from '../constant.js';
import type { NodeContext } from '../node-context.js';
import { rawNode } from '../raw-node.js';
import type { ImageValue } from '../values.js';
import { weightOf } from './weights.js';
import { explicit, padsAt, windowsOf } from './windows.js';

/** The filter and the bias of a convolution, which must be constants; or its refusal. */
export function filterOf(
  c: NodeContext,
  channelsOf: (filter: readonly number[]) => number,
): { readonly filter: Constant; readonly bias: Constant | null } {
  const filter = c.required(1);
  if (filter.dims.length !== 4) {
    c.unsupported(
      `its filter has ${filter.dims.length - 2} dimensions; only those of images, 2, are supported`,
    );
  }
  const stated = c.ints('kernel_shape');
  if (stated !== null && stated.join() !== filter.dims.slice(2).join())
    c.unsupported(`its kernel_shape is [${stated}], and its filter has the shape [${filter.dims}]`);
  const bias = c.constant(2);
  if (bias !== null && sizeOf(bias.dims) !== channelsOf(filter.dims))
    c.unsupported(`its bias has the shape [${bias.dims}], and its filter [${filter.dims}]`);
  return { filter, bias };
}

export function conv(c: NodeContext): ImageValue {
  const { filter, bias } = filterOf(c, ([outChannels]) => outChannels!);
  const x = c.nchw(0);
  const [outChannels, inChannels, height, width] = filter.dims as [number, number, number, number];
  const group = c.int('group', 1);
  if (inChannels * group !== x.channels || outChannels % group !== 0) {
    c.unsupported(`it convolves ${inChannels * group} channels, and its image has ${x.channels}`);
  }
  const options = windowsOf(c, [height, width]);
  const steps = [windows(options[0]), windows(options[1])] as const;
  const strides = options.map(({ stride }) => stride!) as [number, number];
  const dilations = options.map(({ dilation }) => dilation!) as [number, number];
  const isPlain = group === 1 && (Math.max(...strides) === 1 || Math.max(...dilations) === 1);
  const parameters = { options, group };
  if (!isPlain) {
    const weights = [weightOf(filter), ...(bias ? [weightOf(bias)] : [])];
    return c.emit({
      images: [x],
      channels: outChannels,
      steps,
      weights,
      parameters,
      compute: ([image], tensors) => {
        const attributes = {
          kernel_shape: [height, width],
          strides,
          dilations,
          group,
          pads: padsAt(options, image!),
        };
        const inputs = ['image', ...tensors.map(() => 'plain' as const)] as const;
        const size = steps.map((step, axis) => step.at(image!.shape[axis + 1]!).length) as [number, number];
        return rawNode(
          { name: c.node.name, opType: 'Conv', attributes, inputs },
          [image!, ...tensors],
          [image!.shape[0], ...size, outChannels],
        );
      },
    });
  }
  return c.emit({
    images: [x],
    channels: outChannels,
    steps,
    weights: [weightOf(filter, [2, 3, 1, 0]), ...(bias ? [weightOf(bias)] : [])],
    parameters,
    compute: ([image], [kernel, ...biases]) =>
      tf.fused.conv2d({
        x: image!,
        filter: kernel as tf.Tensor4D,
        strides,
        dilations,
        pad: explicit(padsAt(options, image!)),
        ...(biases[0] && { bias: biases[0] }),
      }),
  });
}
