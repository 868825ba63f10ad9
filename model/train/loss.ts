import tf = require('@tensorflow/tfjs-core');

import { DICE_SMOOTHING, type LossKind } from './choices.js';

/** The target of each pixel of the logits. */
export interface Truth {
  /** Class indices `[n, h, w]`, int32. */
  readonly labels: tf.Tensor3D;
  /** `[n, h, w]`; 0 where a pixel does not count. */
  readonly weights: tf.Tensor3D;
}

/**
 * The loss, at least 0, of logits `[n, h, w, classes]`, or `[n, h, w, 1]` of a sigmoid for the second of two classes.
 * It is differentiable. Call it in a tidy scope.
 */
export function lossOf(kind: LossKind, logits: tf.Tensor4D, truth: Truth): tf.Scalar {
  switch (kind) {
    case 'cross-entropy':
      return crossEntropy(logits, truth);
    case 'dice':
      return softDice(logits, truth);
    case 'cross-entropy+dice':
      return tf.add(crossEntropy(logits, truth), softDice(logits, truth));
  }
}

/**
 * The weighted mean over pixels of −log p(true class), in nats. With one logit z and truth t in {0, 1}
 * that is max(z, 0) − z·t + log(1 + exp(−|z|)), which does not overflow.
 */
function crossEntropy(logits: tf.Tensor4D, { labels, weights }: Truth): tf.Scalar {
  const classes = logits.shape[3];
  const pixelWeights = tf.expandDims(weights, 3);
  let sum: tf.Tensor;
  if (classes === 1) {
    const truth = tf.cast(tf.expandDims(labels, 3), 'float32');
    const tail = tf.log1p(tf.exp(tf.neg(tf.abs(logits))));
    sum = tf.sum(tf.mul(tf.add(tf.sub(tf.relu(logits), tf.mul(logits, truth)), tail), pixelWeights));
  } else {
    // classes and pixels are summed at once: the gradient of a sum over classes is slow to spread
    const truth = tf.mul(tf.oneHot(labels, classes, 1, 0, 'float32'), pixelWeights);
    sum = tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits, 3), truth)));
  }
  return tf.div(sum, tf.add(tf.sum(weights), TINY)) as tf.Scalar;
}

/**
 * 1 − the mean over classes of (2·Σ w·p·t + 1) / (Σ w·p + Σ w·t + 1); with one logit, of the second class only.
 * After Milletari, Navab and Ahmadi (2016), with weighted sums instead of sums of squares.
 */
function softDice(logits: tf.Tensor4D, { labels, weights }: Truth): tf.Scalar {
  const classes = logits.shape[3];
  const each = tf.expandDims(weights, 3);
  const single = classes === 1;
  const p = single ? tf.sigmoid(logits) : tf.exp(tf.logSoftmax(logits, 3));
  const truth = single
    ? tf.cast(tf.expandDims(labels, 3), 'float32')
    : tf.oneHot(labels, classes, 1, 0, 'float32');
  const over = (x: tf.Tensor) => tf.sum(tf.mul(x, each), [0, 1, 2]);
  const both = tf.add(tf.mul(over(tf.mul(p, truth)), 2), DICE_SMOOTHING);
  const either = tf.add(tf.add(over(p), over(truth)), DICE_SMOOTHING);
  return tf.sub(1, tf.mean(tf.div(both, either))) as tf.Scalar;
}

/** Avoids division by zero: a batch in which no pixel counts has loss 0. */
const TINY = 1e-12;
