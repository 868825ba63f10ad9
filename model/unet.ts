import * as tfl from '@tensorflow/tfjs-layers';
import { ModelConfigError } from './errors.js';

/** A U-Net of valid convolutions, two a level, as in Ronneberger, Fischer and Brox (2015). */
export interface UnetConfig {
  /** Feature channels of each level, from the image down; their count is the depth plus one. */
  readonly channels: readonly number[];
  readonly inputChannels: 1 | 3;
  /** At least 2: the background is a class too. */
  readonly classes: number;
  /** Seeds the He initialisation; any integer. */
  readonly seed: number;
}

/** The paper's own: 23 convolutions, 31,030,658 parameters, 572 px to 388 px. */
export const PAPER: UnetConfig = {
  channels: [64, 128, 256, 512, 1024],
  inputChannels: 1,
  classes: 2,
  seed: 0,
};

/**
 * Builds the network for square inputs of `size` px. Its outputs are smaller by the halo on every
 * side: softmax probabilities `[batch, out, out, classes]`. Layers hold no size of their own, so the
 * model also takes other valid sizes (see `tileGeometryOf`).
 *
 * @throws ModelConfigError for fewer than two levels or classes, or a size that the pooling cannot halve.
 */
export function buildUnet(config: UnetConfig, size = smallestSize(config)): tfl.LayersModel {
  check(config);
  const { channels, inputChannels, classes } = config;
  const depth = channels.length - 1;
  let seeds = config.seed * 1000;
  const { conv2d, conv2dTranspose, maxPooling2d, cropping2D, concatenate, activation } = tfl.layers;
  const he = () => tfl.initializers.heNormal({ seed: ++seeds });
  const conv = (name: string, filters: number) =>
    conv2d({ name, filters, kernelSize: 3, activation: 'relu', kernelInitializer: he() });
  const apply = (x: tfl.SymbolicTensor, ...layers: tfl.layers.Layer[]) =>
    layers.reduce((y, layer) => layer.apply(y) as tfl.SymbolicTensor, x);

  const input = tfl.input({ shape: [size, size, inputChannels], name: 'image' });
  const skips: tfl.SymbolicTensor[] = [];
  let x = input;
  for (const [level, filters] of channels.entries()) {
    if (level > 0) x = apply(x, maxPooling2d({ name: `pool_${level}`, poolSize: 2 }));
    x = apply(x, conv(`down_${level}_a`, filters), conv(`down_${level}_b`, filters));
    skips.push(x);
  }
  for (let level = depth - 1; level >= 0; level--) {
    const filters = channels[level]!;
    const up = conv2dTranspose({
      name: `up_${level}`,
      filters,
      kernelSize: 2,
      strides: 2,
      kernelInitializer: he(),
    });
    x = apply(x, up);
    const skip = skips[level]!;
    const crop = (skip.shape[1]! - x.shape[1]!) / 2;
    const cropped = apply(skip, cropping2D({ name: `crop_${level}`, cropping: crop }));
    x = concatenate({ name: `join_${level}` }).apply([cropped, x]) as tfl.SymbolicTensor;
    x = apply(x, conv(`up_${level}_a`, filters), conv(`up_${level}_b`, filters));
  }
  const logits = conv2d({ name: 'logits', filters: classes, kernelSize: 1, kernelInitializer: he() });
  const probabilities = apply(x, logits, activation({ name: 'probabilities', activation: 'softmax' }));
  return tfl.model({ name: 'unet', inputs: input, outputs: probabilities });
}

/**
 * The smallest input whose output, `2^d·b − 2^(d+2) + 4` px for a bottom map of b px, reaches one write
 * stride of 2^d px.
 */
function smallestSize({ channels }: UnetConfig): number {
  const step = 2 ** (channels.length - 1);
  const bottom = Math.ceil(5 - 4 / step);
  return step * bottom + 8 * step - 4;
}

function check({ channels, classes }: UnetConfig): void {
  const whole = (n: number) => Number.isInteger(n) && n >= 1;
  if (channels.length < 2 || !channels.every(whole)) {
    throw new ModelConfigError(`channels must list two or more positive integers, not [${channels}]`);
  }
  if (!Number.isInteger(classes) || classes < 2) {
    throw new ModelConfigError(`classes must be 2 or more (background is one), not ${classes}`);
  }
}
