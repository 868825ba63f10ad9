import * as tf from '@tensorflow/tfjs-core';
import * as tfl from '@tensorflow/tfjs-layers';

/**
 * TensorFlow.js's own `Resizing` layer for nearest pixels, which it cannot apply inside a model: it takes
 * the list of its inputs for the input. This one stands in its place when models are loaded, too.
 */
export class Resizing extends tfl.layers.Layer {
  static className = 'Resizing';
  readonly #size: [height: number, width: number];

  constructor(args: { readonly name?: string; readonly height: number; readonly width: number }) {
    super({ ...(args.name !== undefined && { name: args.name }) });
    this.#size = [args.height, args.width];
  }

  override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
    const x = (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor4D;
    return tf.image.resizeNearestNeighbor(x, this.#size, true);
  }

  override computeOutputShape(shape: tfl.Shape): tfl.Shape {
    return [shape[0]!, ...this.#size, shape[3]!];
  }

  override getConfig() {
    const [height, width] = this.#size;
    return { ...super.getConfig(), height, width, interpolation: 'nearest', cropToAspectRatio: false };
  }
}

tf.serialization.registerClass(Resizing);
