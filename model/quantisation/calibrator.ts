import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

import { scaleInputs, type TileBatch } from '../network/frozen.js';
import { normalise, scaleValues } from '../network/normalise.js';
import { rangeOf } from '../network/pixels.js';
import type { TileModel } from '../network/tile-model.js';
import { SCALE_PARTS } from '../network/tile-scale.js';
import type { Computation, Runtime } from '../runtime.js';
import type { Range, Ranges } from './ranges.js';
import { layersToQuantise, stagesOf } from './stages.js';

interface Observed {
  readonly layer: string;
  readonly channels: number;
}

/** Finds the ranges of a network's feature maps, by computing them with floats for images that it is made for. */
export class Calibrator {
  /** By number of channels of the images, and whether they have a scale. */
  readonly #traces = new Map<string, Computation>();
  /** The least and the greatest values so far, layer by layer. */
  #extremes: { readonly low: Float32Array; readonly high: Float32Array } | null = null;

  private constructor(
    private readonly model: tfl.LayersModel,
    private readonly observed: readonly Observed[],
    private readonly runtime: Runtime,
  ) {}

  /**
   * @param model is frozen, and disposed of with the calibrator
   * @throws UnquantisableLayerError naming a layer that cannot be computed with bytes
   */
  static async of(model: TileModel, runtime: Runtime): Promise<Calibrator> {
    const { whole, scores: network } = layersToQuantise(model);
    const stages = await stagesOf(network);
    const observed = stages.flatMap((stage) =>
      'channels' in stage && stage.output !== network.outputs[0]!.id
        ? [{ layer: stage.name, channels: stage.channels[1] }]
        : [],
    );
    await runtime.freeze(model.weights);
    return new Calibrator(whole, observed, runtime);
  }

  /** Widens the ranges to the values of a batch. */
  async observe({ data, count, height, width, channels, scale }: TileBatch): Promise<void> {
    const isScaled = scale !== undefined;
    const [values] = await this.#trace(channels, height, width, isScaled).run([
      {
        values: data instanceof Float32Array ? data : new Float32Array(data),
        shape: [count, height, width, channels],
      },
      { values: Float32Array.of(rangeOf(data)), shape: [1] },
      ...scaleInputs(scale, count),
    ]);
    const found = values as Float32Array;
    const length = found.length / 2;
    const [low, high] = [found.slice(0, length), found.slice(length)];
    const { low: lowest, high: highest } = this.#extremes ?? { low, high };
    this.#extremes = {
      low: low.map((value, i) => Math.min(value, lowest[i]!)),
      high: high.map((value, i) => Math.max(value, highest[i]!)),
    };
  }

  /** The ranges of all values so far. At least one batch must have been observed. */
  ranges(): Ranges {
    const { low, high } = this.#extremes!;
    const ranges: Record<string, Range> = {};
    let at = 0;
    for (const { layer, channels } of this.observed) {
      ranges[layer] = {
        low: [...low.subarray(at, at + channels)],
        high: [...high.subarray(at, at + channels)],
      };
      at += channels;
    }
    return ranges;
  }

  dispose(): void {
    this.model.dispose();
  }

  #trace(channels: number, height: number, width: number, isScaled: boolean): Computation {
    const key = `${channels} ${isScaled}`;
    const known = this.#traces.get(key);
    if (known) return known;
    const { inputs } = this.model;
    const outputs = this.observed.map(({ layer }) => this.model.getLayer(layer).output as tfl.SymbolicTensor);
    const network = tfl.model({ inputs, outputs });
    const inputChannels = inputs[0]!.shape[3]!;
    const ofScale = isScaled ? SCALE_PARTS.map(() => [1, 1, 1, inputChannels]) : [];
    const shapes = [[1, height, width, channels], [1], ...ofScale];
    const trace = this.runtime.trace(shapes, ([pixels, range, ...scale]) => {
      const stored = pixels as tf.Tensor4D;
      const x = isScaled
        ? scaleValues(stored, scale, inputChannels)
        : normalise(stored, range!, inputChannels);
      const maps = [network.apply(x) as tf.Tensor | tf.Tensor[]].flat();
      const low = maps.map((map) => tf.min(map, [0, 1, 2]));
      const high = maps.map((map) => tf.max(map, [0, 1, 2]));
      return tf.concat([...low, ...high], 0);
    });
    this.#traces.set(key, trace);
    return trace;
  }
}
