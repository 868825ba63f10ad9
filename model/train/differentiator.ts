import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

import type { GraphPrecision } from '../devices/device.js';
import { type TileGeometry, tileGeometryOf } from '../network/geometry.js';
import { convertChannels } from '../network/normalise.js';
import type { UnetConfig } from '../network/unet.js';
import { type Computation, type Recorder, recorderOf } from '../runtime.js';
import type { TrainingBatch } from './batch.js';
import type { LossKind } from './choices.js';
import { lossOf, type Truth } from './loss.js';

export interface LossAndGradients {
  readonly loss: number;
  /** By each variable. */
  readonly gradients: readonly Float32Array[];
}

interface BatchTensors extends Truth {
  /** `[count, side, side, channels]`. */
  readonly image: tf.Tensor4D;
  /** By which the loss is multiplied, `[1]`. */
  readonly scale?: tf.Tensor1D;
}

/** Computes a network's loss, and its gradients by some of the weights. */
export class Differentiator {
  readonly #logits: tfl.LayersModel;
  readonly #geometry: TileGeometry;
  /** The computation for batches of one size. */
  #recorded: { readonly size: string; readonly trace: Computation } | null = null;

  /** @param variables the weights by which the loss is differentiated */
  constructor(
    private readonly model: tfl.LayersModel,
    private readonly variables: readonly tf.Variable[],
    private readonly config: {
      readonly unet: UnetConfig;
      readonly loss: LossKind;
      /** fp16 for mixed precision: inputs and results are floats of 32 bits. Default: fp32. */
      readonly precision?: GraphPrecision;
    },
  ) {
    const end = model.getLayer(config.unet.outputSize ? 'resized' : 'logits');
    this.#logits = tfl.model({ inputs: model.inputs, outputs: end.output as tfl.SymbolicTensor });
    this.#geometry = tileGeometryOf(model);
  }

  /**
   * The loss of a batch, and the gradients.
   * @param target arrays that gradients are written to; null for new ones
   * @param scale by which the loss is multiplied before it is differentiated, and so the gradients, but not the loss that
   * is returned; null for not at all
   */
  async compute(
    batch: TrainingBatch,
    target: readonly Float32Array[] | null,
    scale: number | null = null,
  ): Promise<LossAndGradients> {
    const [scaled, ...gradients] = await this.#computed(batch, target, scale);
    const loss = scaled![0]! / (scale ?? 1);
    if (target === null) return { loss, gradients };
    for (const [i, array] of target.entries()) if (gradients[i] !== array) array.set(gradients[i]!);
    return { loss, gradients: target };
  }

  async #computed(
    batch: TrainingBatch,
    target: readonly Float32Array[] | null,
    scale: number | null,
  ): Promise<Float32Array[]> {
    const { dropout, batchNorm } = this.config.unet;
    const recorder = recorderOf(tf.backend());
    if (recorder === null) return this.#computeOnce(batch, scale);
    const { precision } = recorder;
    recorder.precision = this.config.precision ?? 'fp32';
    try {
      // dropout's masks and batch normalisation's statistics change at each step
      if (dropout || batchNorm) return await this.#computeOnce(batch, scale);
      return await this.#replay(recorder, batch, target, scale);
    } finally {
      recorder.precision = precision;
    }
  }

  async #computeOnce(batch: TrainingBatch, scale: number | null): Promise<Float32Array[]> {
    const tensors = tf.tidy(() => this.#differentiate(this.#tensorsOf(batch, scale)));
    try {
      return await Promise.all(tensors.map((t) => t.data<'float32'>()));
    } finally {
      tf.dispose(tensors);
    }
  }

  /** Records a batch whose size is not that of the one before, and replays others: recording takes milliseconds. */
  async #replay(
    recorder: Recorder,
    batch: TrainingBatch,
    target: readonly Float32Array[] | null,
    scale: number | null,
  ): Promise<Float32Array[]> {
    const { pixels, labels, weights, count, side, channels } = batch;
    const size = `${count} of ${side} px, ${channels} channels`;
    if (this.#recorded?.size !== size) {
      const tensors = this.#tensorsOf(batch, scale);
      const inputs = [...Object.values(tensors), ...this.model.getWeights()];
      try {
        this.#recorded = { size, trace: recorder.traceOf(inputs, () => this.#differentiate(tensors)) };
      } finally {
        tf.dispose(Object.values(tensors));
      }
    }
    const parameters = await Promise.all(this.model.getWeights().map((w) => w.data<'float32'>()));
    const scales = scale === null ? [] : [Float32Array.of(scale)];
    const fed = [pixels, new Int32Array(labels), weights, ...scales, ...parameters].map((values) => ({
      values,
    }));
    const targets = target === null ? [] : [null, ...target];
    return (await this.#recorded.trace.run(fed, targets)) as Float32Array[];
  }

  /** Tensors of the loss and of its gradients by each variable. */
  #differentiate(tensors: BatchTensors): tf.Tensor[] {
    const { scale } = tensors;
    const scaledLoss = () =>
      scale === undefined ? this.#loss(tensors) : tf.sum<tf.Scalar>(tf.mul(this.#loss(tensors), scale));
    const { value, grads } = tf.variableGrads(scaledLoss, [...this.variables]);
    return [value, ...this.variables.map((variable) => grads[variable.name]!)];
  }

  #loss({ image, labels, weights }: BatchTensors): tf.Scalar {
    const x = convertChannels(image, this.model.inputs[0]!.shape[3]!);
    const { top, left } = this.#geometry.padded;
    let logits = this.#logits.apply(x, { training: true }) as tf.Tensor4D;
    const [, h, w, maps] = logits.shape;
    const [count, height, width] = labels.shape;
    if (h !== height || w !== width)
      logits = tf.slice(logits, [0, top, left, 0], [count, height, width, maps]);
    return lossOf(this.config.loss, logits, { labels, weights });
  }

  /** Their order is that in which a recorded computation is fed. */
  #tensorsOf(
    { pixels, labels, weights, count, side, channels }: TrainingBatch,
    scale: number | null,
  ): BatchTensors {
    const { top, left, bottom, right } = this.#geometry.halo;
    const ofPixels: [number, number, number] = [count, side - top - bottom, side - left - right];
    return {
      image: tf.tensor4d(pixels, [count, side, side, channels]),
      labels: tf.tensor3d(new Int32Array(labels), ofPixels, 'int32'),
      weights: tf.tensor3d(weights, ofPixels),
      ...(scale !== null && { scale: tf.tensor1d([scale]) }),
    };
  }
}
