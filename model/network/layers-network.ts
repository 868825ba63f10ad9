import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { type Margins, type TileGeometry, tileGeometryOf } from './geometry.js';
import { Head, headOf } from './head.js';
import { type LayerFacts, layersOf } from './layers.js';
import { haveOwnBackground, kindFor, type ScoreKind } from './score-kind.js';
import type { LayersForm, TileModel } from './tile-model.js';

/** A network of TensorFlow.js's layers. */
export class LayersNetwork implements TileModel {
  readonly geometry: TileGeometry;
  /** How far px of the output depend on others; the halo of the geometry may be wider, for its phase. */
  readonly reach: Margins;
  readonly head: Head;
  readonly layers: LayersForm;

  /**
   * @param model becomes part of this, and is disposed of with it
   * @param scores what its output means, where it does not end in an activation layer. Default: probabilities
   * @param phased where its tiles begin; see `inPhase`. Default: as our own networks are trained
   * @param classes that a card names; see `haveOwnBackground`
   * @throws InexactModelError for a network that cannot be tiled exactly
   */
  constructor(
    model: tfl.LayersModel,
    scores: ScoreKind = 'probabilities',
    phased: (derived: TileGeometry) => TileGeometry = (derived) => derived,
    classes?: number,
  ) {
    const ending = headOf(model);
    const channels = channelsOf(model.outputs);
    const isWhole = ending.head.kind === 'sigmoid' && haveOwnBackground(channels, classes);
    const { network, head } = isWhole ? { network: model, head: new Head('probabilities') } : ending;
    const derived = tileGeometryOf(model);
    this.geometry = phased(derived);
    this.reach = derived.halo;
    this.head = network === model && !isWhole ? new Head(kindFor(scores, channels, classes)) : head;
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
