import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

/**
 * A nearest-neighbour `Resizing` layer. TensorFlow.js's own fails inside a model, where it mistakes the list of its
 * inputs for the input. This one is registered under the same name, so saved models load with it.
 */
export class Resizing extends tfl.layers.Layer {
  static className = 'Resizing';
  readonly #size: [height: number, width: number];

  constructor(args: { readonly name?: string; readonly height: number; readonly width: number }) {
    super(args.name === undefined ? {} : { name: args.name });
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
