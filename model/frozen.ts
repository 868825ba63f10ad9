import * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { type TileGeometry, tileGeometryOf } from './geometry.js';
import { normalise } from './normalise.js';
import type { OnnxBackend } from './onnx/backend.js';
import type { OutputKind } from './output-kind.js';
import type { Pixels } from './pixels.js';

/** Tiles of one size: `[count, height, width, channels]`, interleaved. */
export interface TileBatch {
  readonly data: Pixels;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** A network whose weights are constants of the compiled graph; for serving and validation. */
export class FrozenModel {
  readonly geometry: TileGeometry;

  private constructor(private readonly model: tfl.LayersModel) {
    this.geometry = tileGeometryOf(model);
  }

  /**
   * Freezes a model in place. Its weights must not change until it is disposed.
   * @throws InexactModelError for a network that cannot be tiled exactly
   */
  static async of(model: tfl.LayersModel, backend: OnnxBackend): Promise<FrozenModel> {
    const frozen = new FrozenModel(model);
    await backend.freeze(model.getWeights());
    return frozen;
  }

  /**
   * Segments a batch: `[count, h, w]` labels, `[count, h, w, classes]` probabilities, or `[count, h, w, classes + 1]`
   * of both, where h and w are the tile's without its halo. The label is the class with the greatest probability,
   * the lowest of equals.
   *
   * @param symmetries average the probabilities over the eight symmetries of the square; for networks
   *   whose halo is the same on all sides
   * @param threshold for networks of two classes: label 1 where its probability is at least this; null for the
   *   greatest probability
   */
  async predict(
    batch: TileBatch,
    output: OutputKind,
    symmetries = false,
    threshold: number | null = null,
  ): Promise<Uint8Array | Float32Array> {
    const result = tf.tidy(() => {
      const { data, count, height, width, channels } = batch;
      const x = normalise(data, [count, height, width, channels], this.model.inputs[0]!.shape[3]!);
      const probabilities = symmetries ? this.#averageSymmetries(x) : this.#probabilities(x);
      if (output === 'probabilities') return probabilities;
      const labels =
        threshold === null ? tf.argMax(probabilities, 3) : thresholdLabels(probabilities, threshold);
      if (output === 'labels') return labels;
      return tf.concat([probabilities, tf.expandDims(tf.cast(labels, 'float32'), 3)], 3);
    });
    try {
      const values = await result.data();
      return output === 'labels' ? new Uint8Array(values) : (values as Float32Array);
    } finally {
      result.dispose();
    }
  }

  dispose(): void {
    this.model.dispose();
  }

  #probabilities(x: tf.Tensor4D): tf.Tensor4D {
    const { top, left, bottom, right } = this.geometry.padded;
    let y = this.model.apply(x) as tf.Tensor4D;
    const [count, height, width, channels] = y.shape;
    if (top + left + bottom + right > 0) {
      const size: [number, number, number, number] = [
        count,
        height - top - bottom,
        width - left - right,
        channels,
      ];
      y = tf.slice(y, [0, top, left, 0], size);
    }
    return channels === 1 ? (tf.concat([tf.sub(1, y), y], 3) as tf.Tensor4D) : y;
  }

  #averageSymmetries(x: tf.Tensor4D): tf.Tensor4D {
    const swap = (t: tf.Tensor4D) => tf.transpose(t, [0, 2, 1, 3]);
    const views = [[], [1], [2], [1, 2]].flatMap((axes) =>
      [false, true].map((swapped) => {
        const mirrored = axes.length === 0 ? x : tf.reverse(x, axes);
        const y = this.#probabilities(swapped ? swap(mirrored) : mirrored);
        const upright = swapped ? swap(y) : y;
        return axes.length === 0 ? upright : tf.reverse(upright, axes);
      }),
    );
    return tf.mul(tf.addN(views), 1 / views.length) as tf.Tensor4D;
  }
}

/** 1 where the second of two classes has at least this probability. The threshold is an input of the graph. */
function thresholdLabels(probabilities: tf.Tensor4D, threshold: number): tf.Tensor {
  const second = tf.slice(probabilities, [0, 0, 0, 1]);
  return tf.cast(tf.squeeze(tf.greaterEqual(second, tf.tensor1d([threshold])), [3]), 'int32');
}
