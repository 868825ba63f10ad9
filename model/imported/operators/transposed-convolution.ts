import tf = require('@tensorflow/tfjs-core');

import { transposed } from '../../network/axis/steps.js';
import type { Constant } from '../constant.js';
import type { NodeContext } from '../node-context.js';
import { rawNode } from '../raw-node.js';
import type { ImageValue, Weight } from '../values.js';
import { filterOf } from './convolution.js';
import { weightOf } from './weights.js';
import { automaticOf, explicit, type Pair, paddingOf, pairOf } from './windows.js';

/**
 * A transposed convolution. Of windows side by side, it is what our own up-convolutions are. Others are convolutions of
 * the small image to all px of a block at once, whose px then go to their places: unlike ONNX Runtime's own operator, this
 * has the same bits at every size.
 */
export function convTranspose(c: NodeContext): ImageValue {
  const group = c.int('group', 1);
  const { filter, bias } = filterOf(c, ([, perGroup]) => perGroup! * group);
  const x = c.nchw(0);
  const [inChannels, perGroup, height, width] = filter.dims as [number, number, number, number];
  const outChannels = perGroup * group;
  if (inChannels !== x.channels || inChannels % group !== 0)
    c.unsupported(`it reads ${inChannels} channels, and its image has ${x.channels}`);
  const strides = pairOf(c, 'strides', 1);
  const dilations = pairOf(c, 'dilations', 1);
  const kernel: Pair = [height, width];
  const outputPadding = pairOf(c, 'output_padding', 0);
  const pads = transposedPads(c, kernel, strides, dilations, outputPadding);
  const steps = [0, 1].map((axis) =>
    transposed({
      kernel: kernel[axis]!,
      stride: strides[axis]!,
      dilation: dilations[axis]!,
      padding: [pads[axis]!, pads[axis + 2]!],
      outputPadding: outputPadding[axis]!,
    }),
  ) as [ReturnType<typeof transposed>, ReturnType<typeof transposed>];
  const parameters = { kernel, strides, dilations, pads, outputPadding, group };
  const biases = bias ? [weightOf(bias)] : [];
  const biased = (y: tf.Tensor4D, [, given]: readonly tf.Tensor[]) =>
    given ? (tf.add(y, given) as tf.Tensor4D) : y;
  const [stride] = strides;
  const isSquare = stride === strides[1] && group === 1 && dilations.every((n) => n === 1);
  const isBlockwise =
    isSquare && kernel.every((k) => k === stride) && [...pads, ...outputPadding].every((n) => n === 0);
  if (isBlockwise) {
    return c.emit({
      images: [x],
      channels: outChannels,
      steps,
      weights: [weightOf(filter, [2, 3, 1, 0]), ...biases],
      parameters,
      compute: ([image], tensors) => {
        const [count, rows, columns] = image!.shape;
        const y = tf.conv2dTranspose(
          image!,
          tensors[0] as tf.Tensor4D,
          [count, rows * stride, columns * stride, outChannels],
          [stride, stride],
          'valid',
        );
        return biased(y, tensors);
      },
    });
  }
  if (!isSquare) {
    return c.emit({
      images: [x],
      channels: outChannels,
      steps,
      weights: [weightOf(filter), ...biases],
      parameters,
      compute: ([image], tensors) => {
        const attributes = {
          kernel_shape: kernel,
          strides,
          dilations,
          group,
          pads,
          output_padding: outputPadding,
        };
        const size = steps.map((step, axis) => step.at(image!.shape[axis + 1]!).length) as [number, number];
        return rawNode(
          {
            name: c.node.name,
            opType: 'ConvTranspose',
            attributes,
            inputs: ['image', ...tensors.map(() => 'plain' as const)],
          },
          [image!, ...tensors],
          [image!.shape[0], ...size, outChannels],
        );
      },
    });
  }
  const taps = kernel.map((k) => Math.ceil(k / stride)) as [number, number];
  return c.emit({
    images: [x],
    channels: outChannels,
    steps,
    weights: [phasesOf(filter, stride, taps), ...biases],
    parameters,
    compute: ([image], tensors) => {
      const [down, across] = taps;
      const pad = explicit([down - 1, across - 1, down - 1, across - 1]);
      const phases = tf.conv2d(image!, tensors[0] as tf.Tensor4D, 1, pad);
      const blocks = stride === 1 ? phases : tf.depthToSpace(phases, stride);
      const [count, rows, columns] = blocks.shape;
      const size = steps.map((step, axis) => step.at(image!.shape[axis + 1]!).length) as [number, number];
      const missing = [pads[0] + size[0] - rows, pads[1] + size[1] - columns].map((n) => Math.max(0, n));
      const whole = missing.every((n) => n === 0)
        ? blocks
        : tf.pad(blocks, [
            [0, 0],
            [0, missing[0]!],
            [0, missing[1]!],
            [0, 0],
          ]);
      return biased(tf.slice(whole, [0, pads[0], pads[1], 0], [count, ...size, outChannels]), tensors);
    },
  });
}

/** The px that a transposed convolution cuts off: top, left, bottom, right. */
function transposedPads(
  c: NodeContext,
  kernel: Pair,
  strides: Pair,
  dilations: Pair,
  outputPadding: Pair,
): [number, number, number, number] {
  const automatic = automaticOf(c);
  const stated = paddingOf(c);
  const shape = c.ints('output_shape');
  if (shape === null && automatic === 'NOTSET') return [...stated];
  if (shape === null && automatic === 'VALID') return [0, 0, 0, 0];
  const { sizes } = c.nchw(0);
  // without a shape, the output has `stride` times as many px as the input
  const wanted = shape?.slice(-2) ?? sizes.map((length, axis) => length * strides[axis]!);
  const total = [0, 1].map(
    (axis) =>
      (sizes[axis]! - 1) * strides[axis]! +
      outputPadding[axis]! +
      (kernel[axis]! - 1) * dilations[axis]! +
      1 -
      wanted[axis]!,
  ) as [number, number];
  if (!total.every((px) => px >= 0)) c.unsupported('its output would be larger than what it computes');
  return splitPads(total, automatic === 'SAME_UPPER');
}

function splitPads([down, across]: Pair, isUpper: boolean): [number, number, number, number] {
  const [less, more] = [(n: number) => Math.floor(n / 2), (n: number) => Math.ceil(n / 2)];
  const [first, last] = isUpper ? [less, more] : [more, less];
  return [first(down), first(across), last(down), last(across)];
}

/**
 * The filter `[I, O, h, w]` of a transposed convolution as that of a convolution of the small image,
 * `[taps, taps, I, stride² · O]`, whose output channels are the px of a block, row by row. Taps beyond the filter are 0.
 */
function phasesOf(filter: Constant, stride: number, [down, across]: Pair): Weight {
  const { dims, values } = filter;
  const [inChannels, outChannels, height, width] = dims as [number, number, number, number];
  const shape = [down, across, inChannels, stride * stride * outChannels];
  const read = (): Float32Array => {
    const phases = new Float32Array(shape.reduce((product, n) => product * n, 1));
    for (let v = 0; v < down; v++) {
      for (let u = 0; u < across; u++) {
        for (let phase = 0; phase < stride * stride; phase++) {
          const y = Math.floor(phase / stride) + (down - 1 - v) * stride;
          const x = (phase % stride) + (across - 1 - u) * stride;
          if (y >= height || x >= width) continue;
          for (let i = 0; i < inChannels; i++) {
            for (let o = 0; o < outChannels; o++) {
              const to = ((v * across + u) * inChannels + i) * shape[3]! + phase * outChannels + o;
              phases[to] = values[((i * outChannels + o) * height + y) * width + x]!;
            }
          }
        }
      }
    }
    return phases;
  };
  return { shape, of: filter, read, parameters: values.length };
}
