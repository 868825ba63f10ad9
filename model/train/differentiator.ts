import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

import { type TileGeometry, tileGeometryOf } from '../geometry.js';
import { convertChannels } from '../normalise.js';
import { type Computation, type Recorder, recorderOf } from '../runtime.js';
import type { UnetConfig } from '../unet.js';
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
    private readonly config: { readonly unet: UnetConfig; readonly loss: LossKind },
  ) {
    const end = model.getLayer(config.unet.outputSize ? 'resized' : 'logits');
    this.#logits = tfl.model({ inputs: model.inputs, outputs: end.output as tfl.SymbolicTensor });
    this.#geometry = tileGeometryOf(model);
  }

  /**
   * The loss of a batch, and the gradients.
   * @param target arrays that gradients are written to; null for new ones
   */
  async compute(batch: TrainingBatch, target: readonly Float32Array[] | null): Promise<LossAndGradients> {
    const { dropout, batchNorm } = this.config.unet;
    // dropout's masks and batch normalisation's statistics change at each step
    const recorder = dropout || batchNorm ? null : recorderOf(tf.backend());
    const [loss, ...gradients] = recorder
      ? await this.#replay(recorder, batch, target)
      : await this.#computeOnce(batch);
    if (target === null) return { loss: loss![0]!, gradients };
    for (const [i, array] of target.entries()) if (gradients[i] !== array) array.set(gradients[i]!);
    return { loss: loss![0]!, gradients: target };
  }

  async #computeOnce(batch: TrainingBatch): Promise<Float32Array[]> {
    const tensors = tf.tidy(() => this.#differentiate(this.#tensorsOf(batch)));
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
  ): Promise<Float32Array[]> {
    const { pixels, labels, weights, count, side, channels } = batch;
    const size = `${count} of ${side} px, ${channels} channels`;
    if (this.#recorded?.size !== size) {
      const tensors = this.#tensorsOf(batch);
      const inputs = [tensors.image, tensors.labels, tensors.weights, ...this.model.getWeights()];
      try {
        this.#recorded = { size, trace: recorder.traceOf(inputs, () => this.#differentiate(tensors)) };
      } finally {
        tf.dispose(Object.values(tensors));
      }
    }
    const parameters = await Promise.all(this.model.getWeights().map((w) => w.data<'float32'>()));
    const fed = [pixels, new Int32Array(labels), weights, ...parameters].map((values) => ({ values }));
    const targets = target === null ? [] : [null, ...target];
    return (await this.#recorded.trace.run(fed, targets)) as Float32Array[];
  }

  /** Tensors of the loss and of its gradients by each variable. */
  #differentiate(tensors: BatchTensors): tf.Tensor[] {
    const { value, grads } = tf.variableGrads(() => this.#loss(tensors), [...this.variables]);
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

  #tensorsOf({ pixels, labels, weights, count, side, channels }: TrainingBatch): BatchTensors {
    const { top, left, bottom, right } = this.#geometry.halo;
    const ofPixels: [number, number, number] = [count, side - top - bottom, side - left - right];
    return {
      image: tf.tensor4d(pixels, [count, side, side, channels]),
      labels: tf.tensor3d(new Int32Array(labels), ofPixels, 'int32'),
      weights: tf.tensor3d(weights, ofPixels),
    };
  }
}
