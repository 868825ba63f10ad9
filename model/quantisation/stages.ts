import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';
import { UnquantisableLayerError } from '../errors.js';
import type { LayersForm, TileModel } from '../network/tile-model.js';

interface Step {
  /** Of the last layer that it stands for, whose output it computes. */
  readonly name: string;
  /** Ids of the symbolic tensors that it reads and computes. */
  readonly inputs: readonly number[];
  readonly output: number;
}

/** A convolution with its bias, and with the batch normalisation and the ReLU behind it. */
export interface Convolution extends Step {
  /** An up-convolution turns each pixel into a block of its kernel's size. */
  readonly kind: 'convolution' | 'up-convolution';
  readonly kernel: readonly [height: number, width: number];
  readonly dilations: readonly [down: number, across: number];
  readonly isPadded: boolean;
  readonly channels: readonly [inChannels: number, outChannels: number];
  /** `[O, I, H, W]`. */
  readonly filter: Float32Array;
  /** `[O]`. */
  readonly bias: Float32Array;
  /** Whether a ReLU follows. */
  readonly isActivated: boolean;
}

interface Pooling extends Step {
  readonly kind: 'pooling';
  readonly size: readonly [down: number, across: number];
}
interface Crop extends Step {
  readonly kind: 'crop';
  /** Rows and columns cut off, in front and behind. */
  readonly rows: readonly [number, number];
  readonly columns: readonly [number, number];
}
/** Repeats rows and columns. */
interface Enlargement extends Step {
  readonly kind: 'enlargement';
  readonly size: readonly [down: number, across: number];
}
/** Joins channels. */
interface Join extends Step {
  readonly kind: 'join';
}
/** What a network computes, as far as it can be computed with bytes. */
export type Stage = Convolution | Pooling | Crop | Enlargement | Join;

type Config = Readonly<Record<string, unknown>>;
type Pair = readonly [number, number];

/** The layers of a network that is to be quantised. @throws UnquantisableLayerError for one that has none */
export function layersToQuantise({ layers, facts }: TileModel): LayersForm {
  if (layers !== null) return layers;
  const name = facts[0]?.name ?? 'network';
  throw new UnquantisableLayerError(
    name,
    'it is a node of an imported graph; only networks of layers can be quantised',
  );
}

const outputOf = (layer: tfl.layers.Layer): tfl.SymbolicTensor => layer.output as tfl.SymbolicTensor;
const inputsOf = (layer: tfl.layers.Layer): tfl.SymbolicTensor[] => [layer.input].flat();
const pairOf = (value: unknown): Pair =>
  Array.isArray(value) ? (value as unknown as Pair) : [value as number, value as number];

/**
 * The stages of a network up to its scores, in an order in which they can be computed. A batch normalisation is folded
 * into the convolution before it, dropout does nothing.
 * @throws UnquantisableLayerError naming the first layer that cannot be computed with bytes
 */
export async function stagesOf(network: tfl.LayersModel): Promise<Stage[]> {
  const absorbed = new Set<tfl.layers.Layer>();
  /** Ids of tensors that equal another one. */
  const same = new Map<number, number>();
  const consumers = (tensor: tfl.SymbolicTensor) =>
    network.layers.filter((layer) => inputsOf(layer).some(({ id }) => id === tensor.id));
  const stages: Stage[] = [];
  for (const layer of network.layers) {
    if (absorbed.has(layer) || layer.getClassName() === 'InputLayer') continue;
    const inputs = inputsOf(layer).map(({ id }) => same.get(id) ?? id);
    if (layer.getClassName() === 'Dropout' || layer.getClassName() === 'SeededDropout') {
      same.set(outputOf(layer).id, inputs[0]!);
      continue;
    }
    if (layer.getClassName() !== 'Conv2D' && layer.getClassName() !== 'Conv2DTranspose') {
      stages.push(plainStage(layer, { name: layer.name, inputs, output: outputOf(layer).id }));
      continue;
    }
    const followers = followersOf(layer, consumers);
    for (const follower of followers) absorbed.add(follower);
    const end = followers.at(-1) ?? layer;
    stages.push(await convolutionOf(layer, followers, { name: end.name, inputs, output: outputOf(end).id }));
  }
  return stages;
}

/** The batch normalisation and the ReLU that alone read a convolution, if any. */
function followersOf(
  layer: tfl.layers.Layer,
  consumers: (tensor: tfl.SymbolicTensor) => tfl.layers.Layer[],
): tfl.layers.Layer[] {
  const followers: tfl.layers.Layer[] = [];
  let isActivated = activationOf(layer) === 'relu';
  for (let end = layer; !isActivated; end = followers.at(-1)!) {
    const [next, ...others] = consumers(outputOf(end));
    if (next === undefined || others.length > 0) break;
    isActivated = isRelu(next);
    const isNorm = next.getClassName() === 'BatchNormalization' && followers.length === 0;
    if (!isActivated && !isNorm) break;
    followers.push(next);
  }
  return followers;
}

const activationOf = (layer: tfl.layers.Layer): unknown => layer.getConfig().activation ?? 'linear';

function isRelu(layer: tfl.layers.Layer): boolean {
  if (layer.getClassName() === 'Activation') return activationOf(layer) === 'relu';
  return layer.getClassName() === 'ReLU' && (layer.getConfig().maxValue ?? null) === null;
}

function plainStage(layer: tfl.layers.Layer, step: Step): Stage {
  const config = layer.getConfig() as Config;
  switch (layer.getClassName()) {
    case 'MaxPooling2D':
      return { ...step, kind: 'pooling', size: pairOf(config.poolSize) };
    case 'Cropping2D': {
      const [rows, columns] = config.cropping as [Pair, Pair];
      return { ...step, kind: 'crop', rows, columns };
    }
    case 'UpSampling2D':
      return { ...step, kind: 'enlargement', size: pairOf(config.size) };
    case 'Concatenate':
      return { ...step, kind: 'join' };
    default:
      throw new UnquantisableLayerError(
        layer.name,
        `layers of class ${layer.getClassName()} are not supported`,
      );
  }
}

async function convolutionOf(
  layer: tfl.layers.Layer,
  followers: readonly tfl.layers.Layer[],
  step: Step,
): Promise<Convolution> {
  const config = layer.getConfig() as Config;
  const activation = activationOf(layer);
  if (activation !== 'linear' && activation !== 'relu') {
    throw new UnquantisableLayerError(
      layer.name,
      `its activation is ${String(activation)}; only ReLU is supported`,
    );
  }
  const kind = layer.getClassName() === 'Conv2D' ? 'convolution' : 'up-convolution';
  const [kernel, bias] = layer.getWeights() as [tf.Tensor4D, tf.Tensor1D | undefined];
  const [height, width, ...ends] = kernel.shape;
  // TensorFlow.js: [H, W, I, O], and [H, W, O, I] of an up-convolution
  const [inChannels, outChannels] = kind === 'convolution' ? ends : [ends[1], ends[0]];
  const values = (await kernel.data()) as Float32Array;
  const filter = new Float32Array(values.length);
  const taps = height * width;
  for (let tap = 0; tap < taps; tap++) {
    for (let i = 0; i < inChannels; i++) {
      for (let o = 0; o < outChannels; o++) {
        const at = kind === 'convolution' ? i * outChannels + o : o * inChannels + i;
        filter[(o * inChannels + i) * taps + tap] = values[tap * inChannels * outChannels + at]!;
      }
    }
  }
  const biases = bias ? new Float32Array((await bias.data()) as Float32Array) : new Float32Array(outChannels);
  const norm = followers.find((follower) => follower.getClassName() === 'BatchNormalization');
  if (norm) await foldNorm(norm, filter, biases);
  return {
    ...step,
    kind,
    kernel: [height, width],
    dilations: pairOf(config.dilationRate ?? 1),
    isPadded: config.padding === 'same',
    channels: [inChannels, outChannels],
    filter,
    bias: biases,
    isActivated: activation === 'relu' || followers.some(isRelu),
  };
}

/** Scales the filters `[O, …]` and shifts the biases `[O]` as a batch normalisation behind them would. */
async function foldNorm(norm: tfl.layers.Layer, filter: Float32Array, bias: Float32Array): Promise<void> {
  const { scale, center, epsilon } = norm.getConfig() as Config & { readonly epsilon: number };
  const weights = await Promise.all(norm.getWeights().map((tensor) => tensor.data()));
  const gamma = scale === false ? null : weights.shift()!;
  const beta = center === false ? null : weights.shift()!;
  const [mean, variance] = weights;
  const each = filter.length / bias.length;
  for (const [o, value] of bias.entries()) {
    const factor = (gamma?.[o] ?? 1) / Math.sqrt(variance![o]! + epsilon);
    for (let k = o * each; k < (o + 1) * each; k++) filter[k]! *= factor;
    bias[o] = (value - mean![o]!) * factor + (beta?.[o] ?? 0);
  }
}
