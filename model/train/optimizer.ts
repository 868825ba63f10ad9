import * as tf from '@tensorflow/tfjs-core';
import type { OptimizerConfig } from './choices.js';

const BETA1 = 0.9;
const BETA2 = 0.999;
const EPSILON = 1e-8;

/**
 * SGD with momentum, Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), with a learning
 * rate that is given at each step. TensorFlow.js's own optimisers keep powers of Adam's betas as 32-bit
 * variables; here they follow from the number of steps, so that a state that is saved is complete.
 */
export class Optimizer {
  readonly #slots: tf.Variable[][];
  /** Steps taken so far. */
  steps = 0;

  constructor(
    private readonly config: OptimizerConfig,
    private readonly variables: readonly tf.Variable[],
  ) {
    const each = config.kind === 'sgd' ? 1 : 2;
    this.#slots = tf.tidy(() =>
      Array.from({ length: each }, () => variables.map((v) => tf.variable(tf.zeros(v.shape), false))),
    );
  }

  /** What belongs to the state besides the weights and `steps`: momenta, or first and second moments. */
  get slots(): readonly tf.Variable[] {
    return this.#slots.flat();
  }

  /** Changes the variables. `gradients` are in their order. To be called in a tidy scope. */
  apply(gradients: readonly tf.Tensor[], learningRate: number): void {
    this.steps++;
    const clipped = this.#clip(gradients);
    const { kind, momentum, weightDecay } = this.config;
    // of shape [1]: they change from step to step, and must not become part of the graph
    const each = (value: number) => tf.tensor1d([value]);
    if (kind === 'sgd') {
      const rate = each(learningRate);
      for (const [i, variable] of this.variables.entries()) {
        const velocity = this.#slots[0]![i]!;
        const next = tf.add(tf.mul(velocity, momentum), clipped[i]!);
        velocity.assign(next);
        variable.assign(tf.sub(variable, tf.mul(next, rate)));
      }
      return;
    }
    // Both corrections of bias, as in the last lines of section 2 of Adam's paper.
    const correction = Math.sqrt(1 - BETA2 ** this.steps);
    const rate = each((learningRate * correction) / (1 - BETA1 ** this.steps));
    const epsilon = each(EPSILON * correction);
    const kept = kind === 'adamw' ? each(1 - learningRate * weightDecay) : null;
    for (const [i, variable] of this.variables.entries()) {
      const [mean, square] = [this.#slots[0]![i]!, this.#slots[1]![i]!];
      const g = clipped[i]!;
      const nextMean = tf.add(mean, tf.mul(tf.sub(g, mean), 1 - BETA1));
      const nextSquare = tf.add(square, tf.mul(tf.sub(tf.mul(g, g), square), 1 - BETA2));
      const change = tf.div(tf.mul(nextMean, rate), tf.add(tf.sqrt(nextSquare), epsilon));
      mean.assign(nextMean);
      square.assign(nextSquare);
      variable.assign(tf.sub(kept === null ? variable : tf.mul(variable, kept), change));
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
