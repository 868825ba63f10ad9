import tf = require('@tensorflow/tfjs-core');

import type * as tfl from '@tensorflow/tfjs-layers';
import { UnquantisableLayerError } from '../errors.js';
import type { TileGeometry } from '../network/geometry.js';
import type { OnnxBackend } from '../onnx/backend.js';
import { concat } from '../onnx/kernels/arrange.js';
import { cropBytes, maxPoolBytes, repeatPixels } from '../onnx/kernels/bytes.js';
import { Convolutions, type Run } from './convolutions.js';
import { type Encoding, encodingsOf } from './encoding.js';
import { type Ranges, rangeOf } from './ranges.js';
import { type Convolution, type Stage, stagesOf } from './stages.js';

/**
 * A network whose feature maps are bytes and whose weights are integers. The first convolution, which reads the image,
 * computes with floats; the last one sums integers to floats. A byte depends on a sum of integers, which has no order,
 * and on its rounding: so tiles agree with one pass over the whole image.
 */
export class QuantisedNetwork {
  readonly #steps: { readonly stage: Stage; readonly run: Run }[] = [];
  readonly #convolutions: Convolutions;

  private constructor(
    private readonly input: number,
    private readonly output: number,
    private readonly backend: OnnxBackend,
  ) {
    this.#convolutions = new Convolutions(backend);
  }

  /**
   * @param network up to its scores; its weights are copied
   * @param tiles the sizes that it takes
   * @throws UnquantisableLayerError naming a layer that cannot be computed with bytes
   * @throws CheckpointError where a layer has no range
   */
  static async of(
    network: tfl.LayersModel,
    ranges: Ranges,
    tiles: Pick<TileGeometry, 'smallest' | 'multiple'>,
    backend: OnnxBackend,
  ): Promise<QuantisedNetwork> {
    const stages = await stagesOf(network);
    const quantised = new QuantisedNetwork(network.inputs[0]!.id, network.outputs[0]!.id, backend);
    try {
      quantised.#prepare(stages, ranges, tiles);
      return quantised;
    } catch (error) {
      quantised.dispose();
      throw error;
    }
  }

  /** Records the scores `[n, h, w, scores]` of images `[n, h, w, channels]`. Call it inside `tf.tidy`. */
  apply(x: tf.Tensor4D): tf.Tensor4D {
    const maps = new Map<number, tf.TensorInfo>([[this.input, x]]);
    for (const { stage, run } of this.#steps) {
      maps.set(stage.output, run(...stage.inputs.map((id) => maps.get(id)!)));
    }
    const scores = maps.get(this.output)!;
    for (const [id, { dataId }] of maps) {
      if (id !== this.input && id !== this.output) this.backend.disposeData(dataId);
    }
    return tf.engine().makeTensorFromTensorInfo(scores) as tf.Tensor4D;
  }

  dispose(): void {
    this.#convolutions.dispose();
  }

  #prepare(
    stages: readonly Stage[],
    ranges: Ranges,
    { smallest, multiple }: Pick<TileGeometry, 'smallest' | 'multiple'>,
  ): void {
    const encodings = new Map<number, readonly Encoding[]>();
    /** The widths of each map in tiles of two sizes: if they are even in both, they are in tiles of all sizes. */
    const widths = new Map([[this.input, [smallest, smallest + multiple]]]);
    for (const stage of stages) {
      const before = widths.get(stage.inputs[0]!)!;
      const isEven = before.every((width) => width % 2 === 0);
      widths.set(
        stage.output,
        before.map((width) => widthAfter(stage, width)),
      );
      const inputs = stage.inputs.map((id) => encodings.get(id) ?? []);
      const output = stage.output === this.output ? null : encodingsAfter(stage, inputs, ranges);
      if (output !== null) encodings.set(stage.output, output);
      this.#steps.push({ stage, run: this.#runOf(stage, inputs, output, isEven) });
    }
  }

  /**
   * @param inputs encodings of the maps that the stage reads; none for the image
   * @param output those of the map that it computes; null for the scores
   */
  #runOf(
    stage: Stage,
    inputs: readonly (readonly Encoding[])[],
    output: readonly Encoding[] | null,
    isEven: boolean,
  ): Run {
    const { backend } = this;
    const [input] = inputs as [readonly Encoding[]];
    if (inputs.some(({ length }) => length === 0)) {
      if (stage.kind === 'convolution' && output !== null) return this.#convolutions.first(stage, output);
      throw new UnquantisableLayerError(stage.name, 'the image has to be read by a convolution alone');
    }
    if (output === null) return this.#convolutions.last(scoring(stage), input);
    switch (stage.kind) {
      case 'convolution':
        return this.#convolutions.inner(stage, input, output, isEven);
      case 'up-convolution':
        return this.#convolutions.up(stage, input, output);
      case 'pooling':
        return (x) => maxPoolBytes(backend, x!, stage.size);
      case 'crop':
        return (x) => cropBytes(backend, x!, stage.rows, stage.columns);
      case 'enlargement':
        return (x) => repeatPixels(backend, x!, stage.size);
      case 'join':
        return (...parts) => concat(backend, parts, 3);
    }
  }
}

/** The stage that computes the scores. @throws UnquantisableLayerError for another than a 1×1 convolution */
function scoring(stage: Stage): Convolution {
  const isPointwise = stage.kind === 'convolution' && stage.kernel.every((length) => length === 1);
  if (isPointwise && !stage.isActivated) return stage;
  throw new UnquantisableLayerError(stage.name, 'scores have to come from a 1×1 convolution');
}

/** How the channels of a stage's output are encoded. */
function encodingsAfter(
  stage: Stage,
  inputs: readonly (readonly Encoding[])[],
  ranges: Ranges,
): readonly Encoding[] {
  if (stage.kind !== 'convolution' && stage.kind !== 'up-convolution') return inputs.flat();
  return encodingsOf(rangeOf(ranges, stage.name, stage.channels[1]), stage.isActivated);
}

/** The width of a stage's output, given that of its input. */
function widthAfter(stage: Stage, width: number): number {
  switch (stage.kind) {
    case 'convolution':
      return stage.isPadded ? width : width - (stage.kernel[1] - 1) * stage.dilations[1];
    case 'up-convolution':
      return width * stage.kernel[1];
    case 'pooling':
      return width / stage.size[1];
    case 'crop':
      return width - stage.columns[0] - stage.columns[1];
    case 'enlargement':
      return width * stage.size[1];
    case 'join':
      return width;
  }
}
