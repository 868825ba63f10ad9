import tf = require('@tensorflow/tfjs-core');

import type { OnnxBackend } from '../onnx/backend.js';
import {
  type ByteWeights,
  convolveBytes,
  pixelsToBlocks,
  roundToBytes,
  weighBytes,
} from '../onnx/kernels/bytes.js';
import type { Encoding } from './encoding.js';
import { type ByteFilter, quantiseFilter } from './filters.js';
import { canPair, pairPixels, type Window } from './pairs.js';
import type { Convolution } from './stages.js';

type Encodings = readonly Encoding[];
/** Records one stage of a network. */
export type Run = (...inputs: tf.TensorInfo[]) => tf.TensorInfo;

/** Convolutions of at most this many output channels compute pairs of pixels. */
const MAX_PAIRED_CHANNELS = 16;

/** The convolutions of a quantised network, whose weights are constants of its graphs until they are disposed of. */
export class Convolutions {
  readonly #constants: tf.TensorInfo[] = [];

  constructor(private readonly backend: OnnxBackend) {}

  dispose(): void {
    for (const { dataId } of this.#constants) this.backend.disposeData(dataId);
  }

  /** The one that reads the image: of floats, in steps of its output's bytes. */
  first({ kernel, isPadded, dilations, ...stage }: Convolution, output: Encodings): Run {
    const [inChannels, outChannels] = stage.channels;
    const taps = kernel[0] * kernel[1];
    const values = new Float32Array(stage.filter.length);
    for (const [o, { scale }] of output.entries()) {
      for (let i = 0; i < inChannels; i++) {
        for (let tap = 0; tap < taps; tap++) {
          const from = (o * inChannels + i) * taps + tap;
          values[(tap * inChannels + i) * outChannels + o] = stage.filter[from]! / scale;
        }
      }
    }
    const biases = Float32Array.from(output, ({ scale, zero }, o) => stage.bias[o]! / scale + zero);
    const constants = [
      this.#constant(values, [...kernel, inChannels, outChannels]),
      this.#constant(biases, [outChannels]),
    ];
    return (x) => {
      const [filter, bias] = constants.map((info) => this.#tensor(info));
      const y = tf.fused.conv2d({
        x: x as tf.Tensor4D,
        filter: filter as tf.Tensor4D,
        bias: bias!,
        strides: 1,
        pad: isPadded ? 'same' : 'valid',
        dilations: [...dilations],
        activation: stage.isActivated ? 'relu' : 'linear',
      });
      return roundToBytes(this.backend, y);
    };
  }

  /**
   * One from bytes to bytes.
   * @param isEven whether rows of the image have an even number of pixels
   */
  inner(stage: Convolution, input: Encodings, output: Encodings, isEven: boolean): Run {
    const [inChannels, outChannels] = stage.channels;
    const quantised = quantiseFilter(stage, input, output);
    const window = windowOf(stage);
    const isPaired = isEven && outChannels <= MAX_PAIRED_CHANNELS && canPair(window);
    const own = isPaired ? pairPixels(quantised, inChannels, window) : { filter: quantised, window };
    const channels = own.filter.filter.length / own.filter.bias.length / area(own.window.kernel_shape);
    const weights = this.#weights(own.filter, [own.filter.bias.length, channels, ...own.window.kernel_shape]);
    return (x) => convolveBytes(this.backend, x!, weights, { geometry: own.window, isPaired });
  }

  /** One that turns each pixel into a block, row by row of the block. */
  up({ kernel: [down, across], ...stage }: Convolution, input: Encodings, output: Encodings): Run {
    const [inChannels, outChannels] = stage.channels;
    const { filter, scale, bias } = quantiseFilter(stage, input, output);
    const length = across * outChannels;
    const rows = Array.from({ length: down }, (_, y) => {
      const row: ByteFilter = {
        filter: new Int8Array(length * inChannels),
        scale: Float32Array.from({ length }, (_, k) => scale[k % outChannels]!),
        bias: Int32Array.from({ length }, (_, k) => bias[k % outChannels]!),
      };
      for (let k = 0; k < row.filter.length; k++) {
        const i = k % inChannels;
        const o = Math.floor(k / inChannels) % outChannels;
        const x = Math.floor(k / inChannels / outChannels);
        row.filter[k] = filter[((o * inChannels + i) * down + y) * across + x]!;
      }
      return this.#weights(row, [length, inChannels, 1, 1]);
    });
    return (x) => {
      const pixels = rows.map((weights) => convolveBytes(this.backend, x!, weights, POINTWISE));
      const blocks = pixelsToBlocks(this.backend, pixels, across);
      for (const { dataId } of pixels) this.backend.disposeData(dataId);
      return blocks;
    };
  }

  /** The pointwise one that computes the scores, as floats. */
  last(stage: Convolution, input: Encodings): Run {
    const [inChannels, outChannels] = stage.channels;
    const { filter, scale, bias } = quantiseFilter(stage, input, null);
    const columns = new Int8Array(filter.length);
    for (const [k, weight] of filter.entries()) {
      columns[(k % inChannels) * outChannels + Math.floor(k / inChannels)] = weight;
    }
    const weights: ByteWeights = {
      filter: this.#constant(columns, [inChannels, outChannels]),
      scale: this.#constant(scale, [outChannels]),
      bias: this.#constant(
        scale.map((step, o) => step * bias[o]!),
        [outChannels],
      ),
    };
    return (x) => weighBytes(this.backend, x!, weights);
  }

  #weights({ filter, scale, bias }: ByteFilter, shape: readonly number[]): ByteWeights {
    return {
      filter: this.#constant(filter, shape),
      scale: this.#constant(scale, [scale.length]),
      bias: this.#constant(bias, [bias.length]),
    };
  }

  #constant(values: Float32Array | Int32Array | Int8Array, shape: readonly number[]): tf.TensorInfo {
    const constant = this.backend.constant(values, shape);
    this.#constants.push(constant);
    return constant;
  }

  /** A tensor of TensorFlow.js with a constant's values, to be disposed of. */
  #tensor(constant: tf.TensorInfo): tf.Tensor {
    this.backend.incRef(constant.dataId);
    return tf.engine().makeTensorFromTensorInfo(constant);
  }
}

const area = ([height, width]: readonly [number, number]): number => height * width;

const POINTWISE = {
  geometry: { kernel_shape: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] },
  isPaired: false,
} as const;

/** Where a convolution reads; padded as TensorFlow.js does, so that the image keeps its size. */
function windowOf({ kernel, dilations, isPadded }: Convolution): Window {
  const reach = (axis: 0 | 1) => (isPadded ? (kernel[axis] - 1) * dilations[axis] : 0);
  const [top, left] = [Math.floor(reach(0) / 2), Math.floor(reach(1) / 2)];
  return { kernel_shape: kernel, dilations, pads: [top, left, reach(0) - top, reach(1) - left] };
}
