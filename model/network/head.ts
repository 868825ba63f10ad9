import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

/** What the scores of a network mean: logits of a softmax, the logit of the second of two classes, or probabilities. */
export type ScoreKind = 'softmax' | 'sigmoid' | 'probabilities';

/** The end of a network: from its scores `[n, h, w, scores]` to labels and probabilities. Call it inside `tf.tidy`. */
export class Head {
  constructor(readonly kind: ScoreKind) {}

  /** `[n, h, w, classes]`. */
  probabilities(scores: tf.Tensor4D): tf.Tensor4D {
    if (this.kind === 'softmax') return tf.softmax(scores);
    const values = this.kind === 'sigmoid' ? tf.sigmoid(scores) : scores;
    return values.shape[3] === 1 ? (tf.concat([tf.sub(1, values), values], 3) as tf.Tensor4D) : values;
  }

  /** The class of the greatest score, the lowest of equals; no exponential function is needed. `[n, h, w, 1]`. */
  labels(scores: tf.Tensor4D): tf.Tensor {
    if (scores.shape[3] > 1) return greatestChannel(scores);
    if (this.kind === 'sigmoid') return tf.greater(scores, 0);
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

/** The channel with the greatest value, the first of equals. `[n, h, w, 1]`: booleans of two channels, else integers. */
export function greatestChannel(values: tf.Tensor4D): tf.Tensor {
  const channels = values.shape[3];
  if (channels > 2) return tf.expandDims(tf.argMax(values, 3), 3);
  const [first, second] = tf.split(values, 2, 3);
  return tf.greater(second!, first!);
}
