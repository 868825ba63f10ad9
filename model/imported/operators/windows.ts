import type * as tf from '@tensorflow/tfjs-core';

import { paddingAt, type WindowOptions } from '../../network/axis/steps.js';
import type { NodeContext } from '../node-context.js';

export type Pair = readonly [down: number, across: number];
export type Both<T> = readonly [down: T, across: T];

const AUTOMATIC = ['NOTSET', 'SAME_UPPER', 'SAME_LOWER', 'VALID'] as const;

export function automaticOf(c: NodeContext): (typeof AUTOMATIC)[number] {
  const stated = c.string('auto_pad', 'NOTSET');
  return AUTOMATIC.find((each) => each === stated) ?? c.unsupported(`its auto_pad is "${stated}"`);
}

/** Whole numbers of rows and columns from an attribute. */
export function pairOf(c: NodeContext, name: string, least: 0 | 1): Pair {
  const stated = c.ints(name) ?? [least, least];
  if (stated.length !== 2 || stated.some((n) => n < least)) c.unsupported(`its ${name} are [${stated}]`);
  return stated as unknown as Pair;
}

/** Px at each side: top, left, bottom, right. */
export function paddingOf(c: NodeContext): readonly [number, number, number, number] {
  const stated = c.ints('pads') ?? [0, 0, 0, 0];
  if (stated.length !== 4 || stated.some((n) => n < 0)) c.unsupported(`its pads are [${stated}]`);
  return stated as unknown as readonly [number, number, number, number];
}

/** The windows of a convolution or a pooling along both axes, by its attributes. */
export function windowsOf(c: NodeContext, kernel: Pair): Both<WindowOptions> {
  const strides = pairOf(c, 'strides', 1);
  const dilations = pairOf(c, 'dilations', 1);
  const pads = paddingOf(c);
  const automatic = automaticOf(c);
  const along = (axis: 0 | 1): WindowOptions => ({
    kernel: kernel[axis],
    stride: strides[axis]!,
    dilation: dilations[axis]!,
    padding:
      automatic === 'SAME_UPPER'
        ? 'same'
        : automatic === 'SAME_LOWER'
          ? 'same-lower'
          : automatic === 'VALID'
            ? [0, 0]
            : [pads[axis]!, pads[axis + 2]!],
    ceil: c.int('ceil_mode', 0) === 1,
  });
  return [along(0), along(1)];
}

/** The zeros around an image, as ONNX lists them: top, left, bottom, right. */
export function padsAt(options: Both<WindowOptions>, image: tf.Tensor4D): [number, number, number, number] {
  const [, height, width] = image.shape;
  const [rows, columns] = [paddingAt(options[0], height), paddingAt(options[1], width)];
  return [rows[0], columns[0], rows[1], columns[1]];
}

type ExplicitPadding = tf.backend_util.ExplicitPadding;
export const explicit = ([top, left, bottom, right]: readonly [
  number,
  number,
  number,
  number,
]): ExplicitPadding =>
  [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ] as const as ExplicitPadding;
