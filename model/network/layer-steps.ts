import type * as tfl from '@tensorflow/tfjs-layers';
import { InexactModelError } from '../errors.js';
import { type AxisStep, crop, type Padding, repeat, transposed, windows } from './axis/steps.js';
import type { GeometryNode } from './axis/walk.js';

/** Layers that compute each px from the same px of their inputs, if they do so along all axes but that of channels. */
const POINTWISE = new Set([
  ...['Activation', 'BatchNormalization', 'Dropout', 'GaussianNoise', 'GaussianDropout', 'AlphaDropout'],
  ...['ReLU', 'LeakyReLU', 'ELU', 'ThresholdedReLU', 'Softmax'],
  ...['Concatenate', 'Add', 'Average', 'Maximum', 'Minimum', 'Multiply'],
]);

type Config = Readonly<Record<string, unknown>>;

/**
 * What a layer does along rows and columns; null where it computes px by px.
 * @throws InexactModelError
 */
export function layerSteps(layer: tfl.layers.Layer): GeometryNode['steps'] {
  const config = layer.getConfig() as Config;
  const refuse = (reason: string): never => {
    throw new InexactModelError(layer.name, reason);
  };
  const kind = layer.getClassName();
  if (config.dataFormat === 'channelsFirst')
    refuse('its channels come first; only "channelsLast" is supported');
  if (POINTWISE.has(kind)) return null;
  const both = (step: (along: (key: string) => number | undefined, axis: 0 | 1) => AxisStep) => {
    const along = (axis: 0 | 1) => (key: string) => {
      const value = config[key] as number | number[] | undefined;
      return Array.isArray(value) ? value[axis] : (value ?? undefined);
    };
    return [step(along(0), 0), step(along(1), 1)] as const;
  };
  const padding = (): Padding => {
    if (config.padding === 'valid') return [0, 0];
    return config.padding === 'same' ? 'same' : refuse(`its padding is "${String(config.padding)}"`);
  };
  switch (kind) {
    case 'Conv2D':
    case 'DepthwiseConv2D':
    case 'SeparableConv2D':
      return both((along) =>
        windows({
          kernel: along('kernelSize')!,
          stride: along('strides') ?? 1,
          dilation: along('dilationRate') ?? 1,
          padding: padding(),
        }),
      );
    case 'MaxPooling2D':
    case 'AveragePooling2D':
      return both((along) =>
        windows({ kernel: along('poolSize')!, stride: along('strides')!, padding: padding() }),
      );
    case 'Conv2DTranspose':
      return both((along) => upConvolution(along('kernelSize')!, along('strides') ?? 1, padding()));
    case 'UpSampling2D':
      // TensorFlow.js places px in another way than Keras, from which such layers come
      if (config.interpolation !== 'nearest') refuse('it interpolates; only "nearest" is supported');
      return both((along) => repeat(along('size')!));
    case 'Cropping2D':
      return both((_along, axis) => crop(...(config.cropping as [number, number][])[axis]!));
    case 'ZeroPadding2D':
      return both((_along, axis) => {
        const [before, after] = (config.padding as [number, number][])[axis]!;
        return crop(-before, -after);
      });
    default:
      return refuse(`layers of class ${kind} are not supported`);
  }
}

/** A `Conv2DTranspose` of Keras: with `same` padding, its output has `stride` times as many px as its input. */
function upConvolution(kernel: number, stride: number, padding: Padding): AxisStep {
  const outputPadding = Math.max(0, stride - kernel);
  const surplus = padding === 'same' ? Math.max(0, kernel - stride) : 0;
  const before = Math.floor(surplus / 2);
  return transposed({ kernel, stride, padding: [before, surplus - before], outputPadding });
}
