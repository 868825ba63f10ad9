import type * as tf from '@tensorflow/tfjs-core';

import tfc = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

/**
 * Dropout whose masks are drawn from an injected generator. TensorFlow.js's own layer draws the same mask at each step
 * if it is seeded, and masks that cannot be reproduced otherwise. It is saved as a plain `Dropout` layer, and is
 * the identity outside training.
 */
export class SeededDropout extends tfl.layers.Layer {
  static className = 'Dropout';
  readonly rate: number;
  /** Draws a number in [0, 1); must be set before training. */
  draw: (() => number) | null = null;

  constructor(args: { readonly name?: string; readonly rate: number }) {
    super(args);
    this.rate = args.rate;
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor {
    const x = Array.isArray(inputs) ? inputs[0]! : inputs;
    const { draw, rate } = this;
    if (kwargs.training !== true || rate === 0) return x.clone();
    if (draw === null) throw new Error('dropout has no generator');
    const scale = 1 / (1 - rate);
    const mask = Float32Array.from({ length: x.size }, () => (draw() < rate ? 0 : scale));
    return tfc.mul(x, tfc.tensor(mask, x.shape));
  }

  override computeOutputShape(shape: tfl.Shape): tfl.Shape {
    return shape;
  }

  override getConfig() {
    return { ...super.getConfig(), rate: this.rate };
  }
}
