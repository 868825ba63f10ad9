import type * as tf from '@tensorflow/tfjs-core';
import * as tfc from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';

/**
 * Dropout whose masks come from a generator of ours: TensorFlow.js's own draws the same mask at each
 * step from a seed, and one that cannot be saved without. It is stored as a plain `Dropout` layer, and
 * does nothing outside training.
 */
export class SeededDropout extends tfl.layers.Layer {
  static className = 'Dropout';
  readonly rate: number;
  /** The next number in [0, 1); set before training. */
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
    const kept = 1 / (1 - rate);
    const mask = Float32Array.from({ length: x.size }, () => (draw() < rate ? 0 : kept));
    return tfc.mul(x, tfc.tensor(mask, x.shape));
  }

  override computeOutputShape(shape: tfl.Shape): tfl.Shape {
    return shape;
  }

  override getConfig() {
    return { ...super.getConfig(), rate: this.rate };
  }
}
