import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

import type { GraphPrecision } from '../devices/device.js';
import { CheckpointError, ModelConfigError } from '../errors.js';
import { SeededDropout } from '../network/dropout.js';
import { type TileGeometry, tileGeometryOf } from '../network/geometry.js';
import { buildUnet, type UnetConfig } from '../network/unet.js';
import { recorderOf } from '../runtime.js';
import { loadCheckpoint } from '../shelf/checkpoint.js';
import type { TrainingBatch } from './batch.js';
import type { LossKind, OptimizerConfig } from './choices.js';
import { Differentiator } from './differentiator.js';
import { LossScale } from './loss-scale.js';
import { Optimizer } from './optimizer.js';
import { Random } from './random.js';
import { readState, type TrainerState, writeState } from './state.js';

export interface TrainerConfig {
  readonly unet: UnetConfig;
  /** Side of the crops in px, such as 252. Only a network with an `outputSize` needs it. */
  readonly tile?: number;
  readonly loss: LossKind;
  readonly optimizer: OptimizerConfig;
  /** A model folder to initialise the weights from; the last layer's only if it has as many classes. */
  readonly from?: string;
  /**
   * fp16 for mixed precision: forward and backward passes in floats of 16 bits, weights in 32, with dynamic loss scaling.
   * Default: fp32.
   */
  readonly precision?: GraphPrecision;
  /** Excludes the contracting path from training. Default false. */
  readonly freezeEncoder?: boolean;
}

/** Adam and cross-entropy. */
export const PLAIN_TRAINING = {
  loss: 'cross-entropy',
  optimizer: { kind: 'adam', momentum: 0, weightDecay: 0, clipNorm: null },
} as const satisfies Omit<TrainerConfig, 'unet'>;

export interface StepOptions {
  readonly learningRate: number;
  /** False only accumulates the gradients: they are averaged with those of the next batches. Default true. */
  readonly apply?: boolean;
}

/** A network in training and its optimiser, on the thread that owns the device. */
export class Trainer {
  readonly model: tfl.LayersModel;
  readonly geometry: TileGeometry;
  readonly #differentiator: Differentiator;
  readonly #optimizer: Optimizer;
  readonly #variables: tf.Variable[];
  /** Batches since the last update, whose gradients are summed in the optimiser's arrays. */
  #accumulated = 0;
  #batches = 0;
  /** Null in full precision. */
  readonly #lossScale: LossScale | null;
  /** The statistics of batch normalisations before the batches that are accumulated, in mixed precision. */
  #statistics: readonly Float32Array[] = [];

  private constructor(private readonly config: TrainerConfig) {
    const { unet, tile, optimizer, freezeEncoder } = config;
    this.model = buildUnet(unet, unet.outputSize ? tile : undefined);
    this.geometry = tileGeometryOf(this.model);
    if (freezeEncoder && unet.batchNorm) {
      throw new ModelConfigError('the encoder of a network with batch normalisation cannot be frozen');
    }
    for (const layer of this.model.layers) {
      if (freezeEncoder && layer.name.startsWith('down_')) layer.trainable = false;
    }
    this.#variables = this.model.trainableWeights.map((weight) => weight.read() as tf.Variable);
    this.#lossScale = config.precision === 'fp16' ? new LossScale() : null;
    this.#differentiator = new Differentiator(this.model, this.#variables, config);
    this.#optimizer = new Optimizer(
      optimizer,
      this.#variables.map(({ size }) => size),
    );
  }

  /** @throws ModelConfigError, and CheckpointError if `from` has other layers */
  static async create(config: TrainerConfig): Promise<Trainer> {
    if (config.precision === 'fp16') await requireMixedPrecision();
    const trainer = new Trainer(config);
    if (config.from !== undefined) await trainer.#initialiseFrom(config.from);
    return trainer;
  }

  /** Trains on a batch; returns its loss before the update. */
  async step(batch: TrainingBatch, { learningRate, apply = true }: StepOptions): Promise<number> {
    const random = Random.at(this.config.unet.seed, this.#batches++);
    for (const layer of this.model.layers) {
      if (layer instanceof SeededDropout) layer.draw = () => random.next();
    }
    const { gradients: sums } = this.#optimizer;
    const isFirst = this.#accumulated === 0;
    if (isFirst && this.#lossScale) this.#statistics = await this.#values(this.#moving());
    const { loss, gradients } = await this.#differentiator.compute(
      batch,
      isFirst ? sums : null,
      this.#lossScale?.value ?? null,
    );
    if (this.#accumulated++ > 0) for (const [i, sum] of sums.entries()) addTo(sum, gradients[i]!);
    if (apply) await this.#update(learningRate);
    return loss;
  }

  /** Frees the weights. */
  dispose(): void {
    this.model.dispose();
  }

  /** A copy of the network with its current weights. */
  async copy(): Promise<tfl.LayersModel> {
    const { unet, tile } = this.config;
    const copy = buildUnet(unet, unet.outputSize ? tile : undefined);
    // layer by layer: the model's own list of weights has frozen ones last
    for (const [i, layer] of this.model.layers.entries()) {
      const weights = layer.getWeights();
      const values = await this.#values(weights);
      tf.tidy(() => copy.layers[i]!.setWeights(weights.map((w, j) => tf.tensor(values[j]!, w.shape))));
    }
    return copy;
  }

  /** All that the next step depends on besides its batch. Call it between optimiser steps. */
  async state(): Promise<TrainerState> {
    const weights = await this.#values(this.#weights());
    const slots = this.#optimizer.slots.map((slot) => slot.slice());
    return {
      steps: this.#optimizer.steps,
      batches: this.#batches,
      arrays: [...weights, ...slots],
      ...(this.#lossScale && { lossScale: this.#lossScale.state }),
    };
  }

  /** @throws CheckpointError for the state of another network or optimiser */
  restore({ steps, batches, arrays, lossScale }: TrainerState): void {
    const [weights, { slots }] = [this.#weights(), this.#optimizer];
    const lengths = [...weights.map(({ size }) => size), ...slots.map(({ length }) => length)];
    if (lengths.join() !== arrays.map(({ length }) => length).join()) {
      throw new CheckpointError('the state belongs to another network or optimiser');
    }
    // a copy: the state may be restored again
    for (const [i, w] of weights.entries()) {
      tf.tidy(() => w.assign(tf.tensor(arrays[i]!.slice(), w.shape)));
    }
    for (const [i, slot] of slots.entries()) slot.set(arrays[weights.length + i]!);
    this.#lossScale?.restore(lossScale ?? null);
    this.#accumulated = 0;
    this.#optimizer.steps = steps;
    this.#batches = batches;
  }

  /** Writes the state, and `extra` with it, into a file; whole or not at all. */
  async save(path: string, extra: unknown): Promise<void> {
    await writeState(path, await this.state(), extra);
  }

  /** Restores what `save` wrote; returns its `extra`. */
  async load(path: string): Promise<unknown> {
    const { state, extra } = await readState(path);
    this.restore(state);
    return extra;
  }

  /** Updates the weights by the mean of the gradients that are accumulated, unless these overflowed. */
  async #update(learningRate: number): Promise<void> {
    const { weights, gradients } = this.#optimizer;
    const factor = this.#lossScale ? this.#lossScale.adapt(gradients) : 1;
    const scale = factor && factor / this.#accumulated;
    this.#accumulated = 0;
    if (scale === null) return this.#restoreStatistics();
    for (const [i, variable] of this.#variables.entries()) {
      const values = await variable.data<'float32'>();
      if (values !== weights[i]) weights[i]!.set(values); // it was initialised or restored
    }
    this.#optimizer.update({ learningRate, scale });
    for (const [i, v] of this.#variables.entries()) tf.tidy(() => v.assign(tf.tensor(weights[i]!, v.shape)));
  }

  /** Undoes what the forward passes of a skipped step did: what overflowed must not remain in moving averages. */
  #restoreStatistics(): void {
    for (const [i, v] of this.#moving().entries()) {
      tf.tidy(() => v.assign(tf.tensor(this.#statistics[i]!, v.shape)));
    }
  }

  /** The moving averages of batch normalisations. */
  #moving(): tf.Variable[] {
    if (!this.config.unet.batchNorm) return [];
    return this.model.nonTrainableWeights.map((weight) => weight.read() as tf.Variable);
  }

  /** All weights, also those that are not trained. */
  #weights(): tf.Variable[] {
    return this.model.weights.map((weight) => weight.read() as tf.Variable);
  }

  async #values(tensors: readonly tf.Tensor[]): Promise<Float32Array[]> {
    return (await Promise.all(tensors.map((t) => t.data()))).map((values) => Float32Array.from(values));
  }

  async #initialiseFrom(folder: string): Promise<void> {
    const { network } = await loadCheckpoint(folder);
    try {
      if (network.layers === null) {
        throw new CheckpointError(
          `${folder} cannot be started from: it is an imported graph, which has no layers`,
        );
      }
      const { whole: model } = network.layers;
      for (const layer of this.model.layers.filter((l) => l.getWeights().length > 0)) {
        const source = model.layers.find(({ name }) => name === layer.name)?.getWeights() ?? [];
        const fits = layer.getWeights().every((w, i) => w.shape.join() === source[i]?.shape.join());
        if (fits) layer.setWeights(source);
        else if (layer.name !== 'logits') {
          throw new CheckpointError(
            `${folder} cannot be started from: it has no layer "${layer.name}" of the same shape`,
          );
        }
      }
      await this.#values(this.model.getWeights());
    } finally {
      network.dispose();
    }
  }
}

/** @throws ModelConfigError, DeviceUnavailableError */
async function requireMixedPrecision(): Promise<void> {
  const recorder = recorderOf(tf.backend());
  if (recorder === null) {
    throw new ModelConfigError('fp16 trains on --engine onnx only: choose that, or --precision fp32');
  }
  // a filter's gradient is a sum over all pixels of a batch, of which small terms vanish in 16 bits
  if ((await recorder.facts()).provider === 'webgpu') {
    throw new ModelConfigError(
      'webgpu adds in 16 bits, which is too coarse to train: choose --device cuda, or --precision fp32',
    );
  }
}

function addTo(sum: Float32Array, terms: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += terms[i]!;
}
