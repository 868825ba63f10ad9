import tf = require('@tensorflow/tfjs-core');

import { UnsupportedNodeError } from '../errors.js';
import { ONNX_NODE, type OnnxNodeAttrs } from '../onnx/kernels/node-attrs.js';

/** A node of ONNX that TensorFlow.js has no operator for, as the `onnx` backend computes it. */
export interface RawNode extends Omit<OnnxNodeAttrs, 'shape'> {
  /** The node's name, by which it is refused. */
  readonly name: string;
}

/**
 * Records a node of ONNX as it is.
 * @param tensors one for each input that is `image` or `plain`, in their order
 * @param shape of the output, `[n, h, w, channels]`
 * @throws UnsupportedNodeError on a backend other than `onnx`
 */
export function rawNode(
  { name, ...attributes }: RawNode,
  tensors: readonly tf.Tensor[],
  shape: readonly number[],
): tf.Tensor4D {
  const backend = tf.getBackend();
  if (!tf.getKernel(ONNX_NODE, backend)) {
    throw new UnsupportedNodeError(
      name,
      attributes.opType,
      `it is computed by --engine onnx only, not by ${backend}`,
    );
  }
  const inputs = Object.fromEntries(tensors.map((tensor, i) => [`x${i}`, tensor]));
  const attrs = { ...attributes, shape: [...shape] };
  return tf.engine().runKernel(ONNX_NODE, inputs, attrs as unknown as tf.NamedAttrMap) as tf.Tensor4D;
}
