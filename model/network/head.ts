import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

import { classesOfScores, type ScoreKind } from './score-kind.js';

/** The end of a network: from its scores `[n, h, w, scores]` to labels and probabilities. Call it inside `tf.tidy`. */
export class Head {
  constructor(readonly kind: ScoreKind) {}

  /** `[n, h, w, classes]`. The background of independent classes has what the most probable of them leaves. */
  probabilities(scores: tf.Tensor4D): tf.Tensor4D {
    if (this.kind === 'softmax') return tf.softmax(scores);
    const values = this.kind === 'probabilities' ? scores : tf.sigmoid(scores);
    const channels = values.shape[3];
    if (classesOfScores(this.kind, channels) === channels) return values;
    const largest = channels === 1 ? values : tf.max(values, 3, true);
    return tf.concat([tf.sub(1, largest), values], 3) as tf.Tensor4D;
  }

  /**
   * The class of the greatest score, the lowest of equals; no exponential function is needed. Of independent classes, the
   * background where no score is above 0. `[n, h, w, 1]`.
   */
  labels(scores: tf.Tensor4D): tf.Tensor {
    const isSeveral = scores.shape[3] > 1;
    if (this.kind === 'sigmoid') {
      const isAny = tf.greater(isSeveral ? tf.max(scores, 3, true) : scores, 0);
      return isSeveral ? tf.mul(tf.cast(isAny, 'int32'), tf.add(greatestOf(scores), 1)) : isAny;
    }
    if (isSeveral) return greatestChannel(scores);
    return greatestChannel(this.probabilities(scores));
  }
}

/**
 * The network up to its scores, and what they mean: it ends in an activation layer, which is left out, or in one that
 * computes probabilities by itself.
 */
export function headOf(model: tfl.LayersModel): { readonly network: tfl.LayersModel; readonly head: Head } {
  const end = model.layers.at(-1)!;
  const { activation } = end.getConfig() as { activation?: string };
  const isActivation = end.getClassName() === 'Activation';
  if (isActivation && (activation === 'softmax' || activation === 'sigmoid')) {
    const outputs = end.input as tfl.SymbolicTensor;
    return { network: tfl.model({ inputs: model.inputs, outputs }), head: new Head(activation) };
  }
  return { network: model, head: new Head('probabilities') };
}

const greatestOf = (values: tf.Tensor4D): tf.Tensor => tf.expandDims(tf.argMax(values, 3), 3);

/** The channel with the greatest value, the first of equals. `[n, h, w, 1]`: booleans of two channels, else integers. */
export function greatestChannel(values: tf.Tensor4D): tf.Tensor {
  const channels = values.shape[3];
  if (channels > 2) return greatestOf(values);
  const [first, second] = tf.split(values, 2, 3);
  return tf.greater(second!, first!);
}
