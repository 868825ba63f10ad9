import tfl = require('@tensorflow/tfjs-layers');

import { ModelConfigError } from '../errors.js';
import { SeededDropout } from './dropout.js';
import { Resizing } from './resizing.js';

/** A U-Net after Ronneberger, Fischer and Brox (2015); defaults are the paper's. */
export interface UnetConfig {
  /** Feature channels of each encoder level, from the image down; their count is the depth plus one. */
  readonly channels: readonly number[];
  /** Feature channels of each decoder level, from the bottom up. Default: the encoder's, reversed. */
  readonly decoderChannels?: readonly number[];
  /** From 1 to 64. */
  readonly inputChannels: number;
  /** At least 2, the background included. */
  readonly classes: number;
  /** `softmax` (default): one logit per class. `sigmoid`: one logit, for the second of two classes. */
  readonly head?: 'softmax' | 'sigmoid';
  /** 3×3 convolutions per level. Default: 2. */
  readonly convolutions?: 1 | 2;
  /** Of the convolutions. Default: `valid`. */
  readonly padding?: 'valid' | 'same';
  /** `transposed` (default): 2×2, stride 2. `nearest`: each pixel doubled, then a 2×2 convolution. */
  readonly upConvolution?: 'transposed' | 'nearest';
  /** Batch normalisation between each 3×3 convolution and its ReLU. Default: none. */
  readonly batchNorm?: boolean;
  /** Share of features that are dropped at the end of the contracting path, in [0, 1), such as 0.5. Default: 0. */
  readonly dropout?: number;
  /** Resizes the logits to a square of this many px; such a model has one tile size and is not exact. Default: none. */
  readonly outputSize?: number;
  /** Seeds the He initialisation; any integer. */
  readonly seed: number;
}

/** The paper's network: 23 convolutions, 31,030,658 parameters, 572 px to 388 px. */
export const PAPER: UnetConfig = {
  channels: [64, 128, 256, 512, 1024],
  inputChannels: 1,
  classes: 2,
  seed: 0,
};

/**
 * Builds the network for square inputs of `size` px; the output is `[batch, out, out, classes]` softmax
 * probabilities, or one sigmoid probability. Only a network with an `outputSize` is bound to its input size;
 * others take all valid sizes (see `tileGeometryOf`).
 *
 * @throws ModelConfigError for a configuration that describes no U-Net, or a size that pooling cannot halve
 */
export function buildUnet(config: UnetConfig, size = smallestSize(config)): tfl.LayersModel {
  validate(config);
  outputOf(config, size);
  const { channels, inputChannels, classes, head = 'softmax', convolutions = 2, padding = 'valid' } = config;
  const { decoderChannels = channels.slice(0, -1).reverse(), upConvolution = 'transposed' } = config;
  const depth = channels.length - 1;
  const { conv2d, conv2dTranspose, maxPooling2d, cropping2D, concatenate, activation } = tfl.layers;
  let seeds = config.seed * 1000;
  const kernelInitializer = () => tfl.initializers.heNormal({ seed: ++seeds });
  const apply = (x: tfl.SymbolicTensor, ...layers: tfl.layers.Layer[]) =>
    layers.reduce((y, layer) => layer.apply(y) as tfl.SymbolicTensor, x);

  // the image px of each map's first px: maps must be aligned to be concatenated
  const offsets = new Map<tfl.SymbolicTensor, number>();
  const block = (input: tfl.SymbolicTensor, level: number, name: string, filters: number) => {
    let x = input;
    for (const letter of ['a', 'b'].slice(0, convolutions)) {
      const id = `${name}_${letter}`;
      x = apply(
        x,
        conv2d({ name: id, filters, kernelSize: 3, padding, kernelInitializer: kernelInitializer() }),
      );
      if (config.batchNorm) x = apply(x, tfl.layers.batchNormalization({ name: `${id}_norm` }));
      x = apply(x, activation({ name: `${id}_relu`, activation: 'relu' }));
    }
    const cut = padding === 'valid' ? convolutions * 2 ** level : 0;
    offsets.set(x, offsets.get(input)! + cut);
    return x;
  };

  const input = tfl.input({ shape: [size, size, inputChannels], name: 'image' });
  offsets.set(input, 0);
  const skips: tfl.SymbolicTensor[] = [];
  let x = input;
  const withOffset = (y: tfl.SymbolicTensor) => offsets.set(y, offsets.get(x)!) && y;
  for (const [level, filters] of channels.entries()) {
    if (level > 0) x = withOffset(apply(x, maxPooling2d({ name: `pool_${level}`, poolSize: 2 })));
    x = block(x, level, `down_${level}`, filters);
    skips.push(x);
  }
  if (config.dropout) x = withOffset(apply(x, new SeededDropout({ name: 'dropout', rate: config.dropout })));
  for (const [i, filters] of decoderChannels.entries()) {
    const level = depth - 1 - i;
    const up = { name: `up_${level}`, filters, kernelSize: 2, kernelInitializer: kernelInitializer() };
    const doubled = tfl.layers.upSampling2d({ name: `double_${level}`, size: [2, 2] });
    x = withOffset(
      upConvolution === 'transposed'
        ? apply(x, conv2dTranspose({ ...up, strides: 2 }))
        : apply(x, doubled, conv2d({ ...up, padding })),
    );
    let skip = skips[level]!;
    const before = (offsets.get(x)! - offsets.get(skip)!) / 2 ** level;
    const excess = skip.shape[1]! - x.shape[1]!;
    if (excess > 0) {
      const cropping: [number, number] = [before, excess - before];
      skip = apply(skip, cropping2D({ name: `crop_${level}`, cropping: [cropping, cropping] }));
    }
    const joined = concatenate({ name: `join_${level}` }).apply([skip, x]) as tfl.SymbolicTensor;
    x = block(withOffset(joined), level, `up_${level}`, filters);
  }
  const filters = head === 'sigmoid' ? 1 : classes;
  x = apply(x, conv2d({ name: 'logits', filters, kernelSize: 1, kernelInitializer: kernelInitializer() }));
  const { outputSize } = config;
  if (outputSize) {
    x = apply(x, new Resizing({ name: 'resized', height: outputSize, width: outputSize }));
  }
  const probabilities = apply(x, activation({ name: 'probabilities', activation: head }));
  return tfl.model({ name: 'unet', inputs: input, outputs: probabilities });
}

/**
 * The side of the logits, in px, for an input of `size` px.
 * @throws ModelConfigError for a size that the network cannot take
 */
export function outputOf(config: UnetConfig, size: number): number {
  const out = trace(config, size);
  if (out === null) throw new ModelConfigError(`the network cannot take an input of ${size} px`);
  const { outputSize } = config;
  if (outputSize !== undefined && outputSize > size) {
    throw new ModelConfigError(`an outputSize of ${outputSize} px is larger than the input of ${size} px`);
  }
  return out;
}

/** The smallest input whose output reaches one write stride, of 2^depth px. */
function smallestSize(config: UnetConfig): number {
  const stride = 2 ** (config.channels.length - 1);
  for (let size = stride; ; size++) if ((trace(config, size) ?? 0) >= stride) return size;
}

/** The side of the logits for an input of `size` px; null where the network cannot take it. */
function trace(
  { channels, convolutions = 2, padding, upConvolution }: UnetConfig,
  size: number,
): number | null {
  const depth = channels.length - 1;
  const cut = padding === 'same' ? 0 : 2 * convolutions;
  const cutUp = padding !== 'same' && upConvolution === 'nearest' ? 1 : 0;
  let n = size - cut;
  for (let level = 1; level <= depth; level++) {
    if (n < 2 || n % 2 !== 0) return null;
    n = n / 2 - cut;
  }
  if (n < 1) return null;
  for (let level = 0; level < depth; level++) n = 2 * n - cutUp - cut;
  return n < 1 ? null : n;
}

function validate(config: UnetConfig): void {
  const { channels, decoderChannels, classes, head, dropout = 0 } = config;
  const positive = (list: readonly number[]) => list.every((n) => Number.isInteger(n) && n >= 1);
  if (channels.length < 2 || !positive(channels)) {
    throw new ModelConfigError(`channels must list two or more positive integers, not [${channels}]`);
  }
  if (decoderChannels && (decoderChannels.length !== channels.length - 1 || !positive(decoderChannels))) {
    throw new ModelConfigError(
      `decoderChannels must list ${channels.length - 1} positive integers, one fewer than channels, not [${decoderChannels}]`,
    );
  }
  if (!Number.isInteger(classes) || classes < 2) {
    throw new ModelConfigError(`classes must be 2 or more, the background included, not ${classes}`);
  }
  if (head === 'sigmoid' && classes !== 2) {
    throw new ModelConfigError(`a sigmoid head has two classes, not ${classes}; use softmax`);
  }
  if (!(dropout >= 0 && dropout < 1)) {
    throw new ModelConfigError(`dropout must be at least 0 and below 1, not ${dropout}`);
  }
}
