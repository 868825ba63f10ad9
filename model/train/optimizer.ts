import * as tf from '@tensorflow/tfjs-core';
import type { OptimizerConfig } from './choices.js';

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/**
 * SGD with momentum, Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019); each step has its own
 * learning rate. TensorFlow.js's optimisers keep the powers of Adam's betas as 32-bit variables; here they follow
 * from the number of steps, so that the slots and `steps` are the complete state.
 */
export class Optimizer {
  readonly #slots: tf.Variable[][];
  /** Steps taken so far. */
  steps = 0;

  constructor(
    private readonly config: OptimizerConfig,
    private readonly variables: readonly tf.Variable[],
  ) {
    const perVariable = config.kind === 'sgd' ? 1 : 2;
    this.#slots = tf.tidy(() =>
      Array.from({ length: perVariable }, () => variables.map((v) => tf.variable(tf.zeros(v.shape), false))),
    );
  }

  /** The optimiser's variables: momenta, or first and second moments. */
  get slots(): readonly tf.Variable[] {
    return this.#slots.flat();
  }

  /** Updates the variables by gradients in their order. Call it in a tidy scope. */
  apply(gradients: readonly tf.Tensor[], learningRate: number): void {
    this.steps++;
    const clipped = this.#clip(gradients);
    const { kind, momentum, weightDecay } = this.config;
    // of shape [1]: scalars would become constants of the graph, which would then be compiled at each step
    const input = (value: number) => tf.tensor1d([value]);
    if (kind === 'sgd') {
      const rate = input(learningRate);
      for (const [i, variable] of this.variables.entries()) {
        const velocity = this.#slots[0]![i]!;
        const next = tf.add(tf.mul(velocity, momentum), clipped[i]!);
        velocity.assign(next);
        variable.assign(tf.sub(variable, tf.mul(next, rate)));
      }
      return;
    }
    // both bias corrections, in the efficient form at the end of section 2 of the paper
    const correction = Math.sqrt(1 - BETA2 ** this.steps);
    const rate = input((learningRate * correction) / (1 - BETA1 ** this.steps));
    const epsilon = input(EPSILON * correction);
    const decay = kind === 'adamw' ? input(1 - learningRate * weightDecay) : null;
    for (const [i, variable] of this.variables.entries()) {
      const [mean, square] = [this.#slots[0]![i]!, this.#slots[1]![i]!];
      const g = clipped[i]!;
      const nextMean = tf.add(mean, tf.mul(tf.sub(g, mean), 1 - BETA1));
      const nextSquare = tf.add(square, tf.mul(tf.sub(tf.mul(g, g), square), 1 - BETA2));
      const change = tf.div(tf.mul(nextMean, rate), tf.add(tf.sqrt(nextSquare), epsilon));
      mean.assign(nextMean);
      square.assign(nextSquare);
      variable.assign(tf.sub(decay === null ? variable : tf.mul(variable, decay), change));
    }
  }

  dispose(): void {
    tf.dispose(this.#slots.flat());
  }

  #clip(gradients: readonly tf.Tensor[]): readonly tf.Tensor[] {
    const { clipNorm } = this.config;
    if (clipNorm === null) return gradients;
    const norm = tf.sqrt(tf.addN(gradients.map((g) => tf.sum(tf.mul(g, g)))));
    const scale = tf.minimum(tf.div(clipNorm, tf.add(norm, 1e-12)), 1);
    return gradients.map((g) => tf.mul(g, scale));
  }
}
