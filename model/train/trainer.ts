import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';
import { normalise, type Pixels } from '../normalize.js';
import { buildUnet, type UnetConfig } from '../unet.js';

export interface TrainerConfig {
  readonly unet: UnetConfig;
  /** Adam's step size, positive. */
  readonly learningRate: number;
}

/** Crops of one size with their labels, one after the other. */
export interface TrainingBatch {
  /** `[count, side, side, channels]`, as stored. */
  readonly pixels: Pixels;
  /** Class indices `[count, out, out]`, for the px that the network's output covers. */
  readonly labels: Uint8Array;
  readonly count: number;
  readonly side: number;
  readonly channels: number;
  /** One a crop: the normalised picture becomes `picture · gain + bias`, cut to [0, 1]. */
  readonly gain: Float32Array;
  readonly bias: Float32Array;
}

/** A network and its optimiser, on the thread that owns the device. */
export class Trainer {
  readonly model: tfl.LayersModel;
  readonly #logits: tfl.LayersModel;
  readonly #optimizer: tf.Optimizer;
  readonly #variables: tf.Variable[];

  constructor(private readonly config: TrainerConfig) {
    this.model = buildUnet(config.unet);
    const logits = this.model.getLayer('logits').output as tfl.SymbolicTensor;
    this.#logits = tfl.model({ inputs: this.model.inputs, outputs: logits });
    this.#optimizer = tf.train.adam(config.learningRate);
    this.#variables = this.model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  }

  /** One step of the optimiser; returns the mean cross-entropy over the batch's pixels, in nats. */
  async step(batch: TrainingBatch): Promise<number> {
    const cost = tf.tidy(() => {
      const { pixels, count, side, channels } = batch;
      const x = augmented(
        normalise(pixels, [count, side, side, channels], this.model.inputs[0]!.shape[3]!),
        batch,
      );
      const { classes } = this.config.unet;
      const truth = tf.oneHot(tf.tensor1d(new Int32Array(batch.labels), 'int32'), classes);
      const loss = (): tf.Scalar => {
        const logits = this.#logits.apply(x, { training: true }) as tf.Tensor4D;
        return crossEntropy(tf.reshape(logits, [-1, classes]), truth);
      };
      return this.#optimizer.minimize(loss, true, this.#variables)!;
    });
    try {
      return (await cost.data())[0]!;
    } finally {
      cost.dispose();
    }
  }

  /** Frees the weights and the optimiser's state. */
  dispose(): void {
    this.#optimizer.dispose();
    this.model.dispose();
  }

  /** The network as it stands, with weights of its own. */
  async copy(): Promise<tfl.LayersModel> {
    const copy = buildUnet(this.config.unet);
    const weights = this.model.getWeights();
    const values = await Promise.all(weights.map((weight) => weight.data()));
    tf.tidy(() =>
      copy.setWeights(weights.map((weight, i) => tf.tensor(values[i]!, weight.shape, weight.dtype))),
    );
    return copy;
  }
}

function augmented(x: tf.Tensor4D, { gain, bias, count }: TrainingBatch): tf.Tensor4D {
  const each = (values: Float32Array) => tf.tensor4d(values, [count, 1, 1, 1]);
  return tf.clipByValue(tf.add(tf.mul(x, each(gain)), each(bias)), 0, 1) as tf.Tensor4D;
}

/** Mean over rows of −log softmax(logits)[truth]; `logits` and one-hot `truth` are `[pixels, classes]`. */
export function crossEntropy(logits: tf.Tensor2D, truth: tf.Tensor): tf.Scalar {
  const likelihood = tf.sum(tf.mul(tf.logSoftmax(logits), tf.cast(truth, 'float32')));
  return tf.div(tf.neg(likelihood), tf.scalar(logits.shape[0])) as tf.Scalar;
}
