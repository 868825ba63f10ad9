import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import type { TileGeometry } from './geometry.js';
import type { Head } from './head.js';
import type { LayerFacts } from './layers.js';

/**
 * A network as tiles are computed by it, whatever it is made of: layers of TensorFlow.js (`LayersNetwork`), or the graph
 * of an ONNX file. What is the same for all of them, such as labels, symmetries and recorded computations, is
 * `FrozenModel`.
 */
export interface TileModel {
  readonly geometry: TileGeometry;
  readonly inputChannels: number;
  /** Numbers of each px that `scores` returns. */
  readonly outputChannels: number;
  /** Weights, those included that are not trained. */
  readonly parameters: number;
  /** What its scores mean. */
  readonly head: Head;
  /** What the network computes with, which becomes a constant of the graphs that are compiled. */
  readonly weights: readonly tf.Tensor[];
  /** The network as layers; null where it has none, and so can be neither quantised nor trained. */
  readonly layers: LayersForm | null;
  /** Its layers, or operators, in order of computation. */
  readonly facts: readonly LayerFacts[];
  /**
   * The scores `[n, h, w, scores]` of images `[n, height, width, inputChannels]`: of all px that the network returns,
   * those included that depend on its padding. Call it inside `tf.tidy`.
   */
  scores(x: tf.Tensor4D): tf.Tensor4D;
  /** What the network itself returns, as whoever made it sees that: behind its last layer. Call it inside `tf.tidy`. */
  result(x: tf.Tensor4D): tf.Tensor4D;
  dispose(): void;
}

/** A network of layers, whole and up to its scores. */
export interface LayersForm {
  readonly whole: tfl.LayersModel;
  readonly scores: tfl.LayersModel;
}
