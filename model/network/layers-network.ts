import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { type TileGeometry, tileGeometryOf } from './geometry.js';
import { Head, headOf, type ScoreKind } from './head.js';
import { type LayerFacts, layersOf } from './layers.js';
import type { LayersForm, TileModel } from './tile-model.js';

/** A network of TensorFlow.js's layers. */
export class LayersNetwork implements TileModel {
  readonly geometry: TileGeometry;
  readonly head: Head;
  readonly layers: LayersForm;

  /**
   * @param model becomes part of this, and is disposed of with it
   * @param scores what its output means, where it does not end in an activation layer. Default: probabilities
   * @throws InexactModelError for a network that cannot be tiled exactly
   */
  constructor(model: tfl.LayersModel, scores: ScoreKind = 'probabilities') {
    const { network, head } = headOf(model);
    this.geometry = tileGeometryOf(model);
    this.head = network === model ? new Head(scores) : head;
    this.layers = { whole: model, scores: network };
  }

  get inputChannels(): number {
    return channelsOf(this.layers.whole.inputs);
  }

  get outputChannels(): number {
    return channelsOf(this.layers.whole.outputs);
  }

  get parameters(): number {
    return this.layers.whole.countParams();
  }

  get weights(): tf.Tensor[] {
    return this.layers.whole.getWeights();
  }

  get facts(): LayerFacts[] {
    return layersOf(this.layers.whole);
  }

  scores(x: tf.Tensor4D): tf.Tensor4D {
    return this.layers.scores.apply(x) as tf.Tensor4D;
  }

  result(x: tf.Tensor4D): tf.Tensor4D {
    return this.layers.whole.apply(x) as tf.Tensor4D;
  }

  dispose(): void {
    this.layers.whole.dispose();
  }
}

function channelsOf([tensor]: readonly tfl.SymbolicTensor[]): number {
  return tensor?.shape.at(-1) ?? 0;
}
