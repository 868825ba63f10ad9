import tf = require('@tensorflow/tfjs-core');

import type * as tfl from '@tensorflow/tfjs-layers';
import { ModelChoiceError } from '../errors.js';
import type { QuantisedNetwork } from '../quantisation/network.js';
import type { Ranges } from '../quantisation/ranges.js';
import type { Computation, ComputationInput, Runtime } from '../runtime.js';
import type { TileGeometry } from './geometry.js';
import { greatestChannel } from './head.js';
import { LayersNetwork } from './layers-network.js';
import { normalise, scaleValues } from './normalise.js';
import type { OutputKind } from './output-kind.js';
import { type Pixels, rangeOf } from './pixels.js';
import type { TileModel } from './tile-model.js';
import { SCALE_PARTS, type TileScale } from './tile-scale.js';

/** Tiles of one size: `[count, height, width, channels]`, interleaved. */
export interface TileBatch {
  readonly data: Pixels;
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** How the values of each tile become the network's input. Default: they are divided by the maximum of their type. */
  readonly scale?: TileScale | undefined;
}

/** How a batch is computed: one graph for each, whatever the tiles' size. */
export interface BatchUse {
  readonly output: OutputKind;
  readonly symmetries: boolean;
  /** Whether a threshold decides labels. */
  readonly isThresholded: boolean;
  readonly channels: number;
  /** Whether images are fed as bytes; see `Runtime.takesBytes`. */
  readonly isOfBytes: boolean;
  /** Whether tiles have a scale, which is fed with them: so tiles of different images share a batch. */
  readonly isScaled: boolean;
}

/** A network whose weights are constants of the compiled graph; for serving and validation. */
export class FrozenModel {
  readonly geometry: TileGeometry;
  readonly #traces = new Map<string, Computation>();
  /** The floats of an earlier batch, for the next one; null while a batch has them. */
  #spare: Float32Array | null = null;

  private constructor(
    private readonly network: TileModel,
    private readonly runtime: Runtime,
    private readonly quantised: QuantisedNetwork | null,
  ) {
    this.geometry = network.geometry;
  }

  /**
   * Freezes a network in place. Its weights must not change until it is disposed.
   * @param ranges of its feature maps; if there are any, it computes with bytes
   * @throws UnquantisableLayerError, CheckpointError; see `QuantisedNetwork`
   * @throws ModelChoiceError for ranges that the runtime cannot compute with
   */
  static async of(network: TileModel, runtime: Runtime, ranges: Ranges | null = null): Promise<FrozenModel> {
    if (ranges === null) {
      await runtime.freeze(network.weights);
      return new FrozenModel(network, runtime, null);
    }
    const bytes = bytesOf(runtime);
    const { layersToQuantise } = await import('../quantisation/stages.js');
    const { QuantisedNetwork } = await import('../quantisation/network.js'); // it needs ONNX Runtime
    const quantised = await QuantisedNetwork.of(
      layersToQuantise(network).scores,
      ranges,
      network.geometry,
      bytes,
    );
    network.dispose(); // its weights were copied
    return new FrozenModel(network, runtime, quantised);
  }

  /** The same for a network of layers. @throws InexactModelError for one that cannot be tiled exactly */
  static async ofLayers(
    model: tfl.LayersModel,
    runtime: Runtime,
    ranges: Ranges | null = null,
  ): Promise<FrozenModel> {
    return FrozenModel.of(new LayersNetwork(model), runtime, ranges);
  }

  /**
   * Segments a batch: `[count, h, w]` labels, `[count, h, w, classes]` probabilities, or `[count, h, w, classes + 1]`
   * of both, where h and w are the tile's without its halo. The label is the class with the greatest logit, the lowest
   * of equals: where probabilities are rounded to the same number, it may be another than the lowest of those.
   *
   * @param symmetries average the probabilities over the eight symmetries of the square, and decide by these; for
   *   networks whose halo is the same on all sides
   * @param threshold for networks of two classes: label 1 where its probability is at least this; null for the
   *   greatest logit
   */
  async predict(
    batch: TileBatch,
    output: OutputKind,
    symmetries = false,
    threshold: number | null = null,
  ): Promise<Uint8Array | Float32Array> {
    const { data, count, height, width, channels, scale } = batch;
    const isOfBytes = this.runtime.takesBytes && data instanceof Uint8Array;
    const isThresholded = threshold !== null;
    const isScaled = scale !== undefined;
    const trace = this.#trace({ output, symmetries, isThresholded, channels, isOfBytes, isScaled });
    const pixels = isOfBytes || data instanceof Float32Array ? data : this.#floats(data);
    const inputs = [
      { values: pixels, shape: [count, height, width, channels] },
      { values: Float32Array.of(rangeOf(data)), shape: [1] },
      { values: Float32Array.of(threshold ?? 0), shape: [1] },
      ...scaleInputs(scale, count),
    ];
    const values = (await trace.run(inputs))[0]!;
    if (pixels !== data) this.#spare = new Float32Array(pixels.buffer as ArrayBuffer);
    if (output !== 'labels') return values as Float32Array;
    return values instanceof Uint8Array ? values : new Uint8Array(values);
  }

  /** Releases the session of one use and number of threads. */
  async release(use: BatchUse, threads: number): Promise<void> {
    this.#spare = null;
    await this.#traces.get(keyOf(use))?.release(threads);
  }

  dispose(): void {
    (this.quantised ?? this.network).dispose();
  }

  /** Converts pixels, into the array of an earlier batch where that is long enough: a fresh one is zeroed page by page. */
  #floats(data: Exclude<Pixels, Float32Array>): Float32Array {
    const spare = this.#spare;
    this.#spare = null;
    const floats =
      spare && spare.length >= data.length ? spare.subarray(0, data.length) : new Float32Array(data.length);
    floats.set(data);
    return floats;
  }

  /** The recorded computation of one use. */
  #trace(use: BatchUse): Computation {
    const key = keyOf(use);
    const known = this.#traces.get(key);
    if (known) return known;
    const { smallest } = this.geometry;
    const { inputChannels } = this.network;
    const ofScale = use.isScaled ? SCALE_PARTS.map(() => [1, 1, 1, inputChannels]) : [];
    const shapes = [[1, smallest, smallest, use.channels], [1], [1], ...ofScale];
    const compute = ([pixels, range, threshold, ...scale]: readonly tf.Tensor[]) => {
      const floats = (use.isOfBytes ? tf.cast(pixels!, 'float32') : pixels!) as tf.Tensor4D;
      const x = use.isScaled
        ? scaleValues(floats, scale, inputChannels)
        : normalise(floats, range!, inputChannels);
      return this.#output(x, use, threshold!);
    };
    const isOutput = this.runtime.takesBytes && use.output === 'labels';
    const trace = this.runtime.trace(shapes, compute, { isInput: use.isOfBytes, isOutput });
    this.#traces.set(key, trace);
    return trace;
  }

  #output(x: tf.Tensor4D, { output, symmetries, isThresholded }: BatchUse, threshold: tf.Tensor): tf.Tensor {
    const scores = symmetries ? null : this.#scores(x);
    if (output === 'labels' && scores !== null && !isThresholded) return this.network.head.labels(scores);
    const probabilities =
      scores === null ? this.#averageSymmetries(x) : this.network.head.probabilities(scores);
    if (output === 'probabilities') return probabilities;
    const labels = () =>
      scores === null ? greatestChannel(probabilities) : this.network.head.labels(scores);
    const decided = isThresholded ? reaches(probabilities, threshold) : labels();
    return output === 'labels' ? decided : tf.concat([probabilities, tf.cast(decided, 'float32')], 3);
  }

  /** The scores of each pixel that the tile owns. */
  #scores(x: tf.Tensor4D): tf.Tensor4D {
    const { top, left, bottom, right } = this.geometry.padded;
    const y = this.quantised?.apply(x) ?? this.network.scores(x);
    if (top + left + bottom + right === 0) return y;
    const [count, height, width, channels] = y.shape;
    return tf.slice(y, [0, top, left, 0], [count, height - top - bottom, width - left - right, channels]);
  }

  #averageSymmetries(x: tf.Tensor4D): tf.Tensor4D {
    const swap = (t: tf.Tensor4D) => tf.transpose(t, [0, 2, 1, 3]);
    const views = [[], [1], [2], [1, 2]].flatMap((axes) =>
      [false, true].map((swapped) => {
        const mirrored = axes.length === 0 ? x : tf.reverse(x, axes);
        const y = this.network.head.probabilities(this.#scores(swapped ? swap(mirrored) : mirrored));
        const upright = swapped ? swap(y) : y;
        return axes.length === 0 ? upright : tf.reverse(upright, axes);
      }),
    );
    return tf.mul(tf.addN(views), 1 / views.length) as tf.Tensor4D;
  }
}

const keyOf = ({ output, symmetries, isThresholded, channels, isOfBytes, isScaled }: BatchUse): string =>
  JSON.stringify([output, symmetries, isThresholded, channels, isOfBytes, isScaled]);

/** The scales of a batch as they are fed: a number for each tile and channel. */
export function scaleInputs(scale: TileScale | undefined, count: number): ComputationInput[] {
  if (!scale) return [];
  return SCALE_PARTS.map((part) => ({
    values: scale[part],
    shape: [count, 1, 1, scale[part].length / count],
  }));
}

/** @throws ModelChoiceError */
function bytesOf({ bytes }: Runtime): NonNullable<Runtime['bytes']> {
  if (bytes?.precision === 'fp16') {
    throw new ModelChoiceError(
      'quantised versions compute with bytes, not in fp16: choose --precision fp32, or the version without -int8',
    );
  }
  if (bytes) return bytes;
  throw new ModelChoiceError(
    'quantised versions run on --engine onnx only: choose that, or the version without -int8',
  );
}

/** Whether the second of two classes has at least this probability. `[n, h, w, 1]`. */
function reaches(probabilities: tf.Tensor4D, threshold: tf.Tensor): tf.Tensor {
  return tf.greaterEqual(tf.slice(probabilities, [0, 0, 0, 1]), threshold);
}
