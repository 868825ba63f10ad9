import { z } from 'zod';
import { UnsupportedPackageError } from '../errors.js';
import { issueOf } from '../shelf/schema-issue.js';

/** A layer as TensorFlow.js's `model.json` has it; `inbound_nodes` are missing in sequential models. */
export interface LayerConfig {
  readonly class_name: string;
  readonly name: string;
  readonly config: Record<string, unknown>;
  readonly inbound_nodes: readonly (readonly Inbound[])[];
}
/** A layer, its node and its output, which are read. */
type Inbound = readonly [layer: string, node: number, tensor: number, kwargs: object];

/** A network of layers whose output is one image, from one image. */
export interface LayersConfig {
  readonly layers: readonly LayerConfig[];
  readonly input: string;
  readonly output: string;
  readonly channels: number;
}

/** Layers that are supported: those whose reach is known, and that TensorFlow.js computes as Keras does. */
const SUPPORTED = new Set([
  ...['InputLayer', 'Conv2D', 'DepthwiseConv2D', 'SeparableConv2D', 'Conv2DTranspose', 'MaxPooling2D'],
  ...['AveragePooling2D', 'UpSampling2D', 'ZeroPadding2D', 'Cropping2D', 'Concatenate', 'Add', 'Average'],
  ...['Maximum', 'Minimum', 'Multiply', 'Activation', 'ReLU', 'LeakyReLU', 'ELU', 'PReLU', 'Softmax'],
  ...[
    'BatchNormalization',
    'Dropout',
    'SpatialDropout2D',
    'GaussianNoise',
    'GaussianDropout',
    'AlphaDropout',
  ],
]);
/** Layers that do something in training alone. */
const TRAINED_ONLY = new Set([
  'Dropout',
  'SpatialDropout2D',
  'GaussianNoise',
  'GaussianDropout',
  'AlphaDropout',
]);
/** How weights are initialised and constrained in training; none of it is needed, and much is not known here. */
const TRAINING_KEYS = /_(initializer|regularizer|constraint)$/;
const MAX_LAYERS = 2000;

const name = z.string().min(1).max(300);
const layer = z.object({
  class_name: z.string().max(100),
  name: name.optional(),
  config: z.record(z.string(), z.unknown()),
  inbound_nodes: z.array(z.unknown()).optional(),
});
const model = z.object({
  class_name: z.enum(['Functional', 'Model', 'Sequential']),
  config: z.union([
    z
      .array(layer)
      .max(MAX_LAYERS)
      .transform((layers) => ({ layers, input_layers: null, output_layers: null })),
    z.object({
      layers: z.array(layer).min(1).max(MAX_LAYERS),
      input_layers: z.unknown().optional(),
      output_layers: z.unknown().optional(),
    }),
  ]),
});

/** What Keras 3 has in place of a tensor: the layer that it comes from. */
const kerasTensor = z.object({
  class_name: z.literal('__keras_tensor__'),
  config: z.object({ keras_history: z.tuple([name, z.int(), z.int()]) }),
});

/**
 * Reads the configuration of a network as Keras 2, Keras 3 or TensorFlow.js have written it.
 * @throws UnsupportedPackageError naming the first layer that is not supported
 */
export function readLayersConfig(json: unknown): LayersConfig {
  const parsed = model.safeParse(json);
  if (!parsed.success)
    throw new UnsupportedPackageError(`only networks of layers are supported: ${issueOf(parsed.error)}`);
  const { class_name: kind, config } = parsed.data;
  const layers = kind === 'Sequential' ? sequence(config.layers) : config.layers.map(functional);
  for (const each of layers) checkLayer(each);
  const input =
    namesOf(config.input_layers)[0] ?? layers.find(({ class_name }) => class_name === 'InputLayer')?.name;
  const output = kind === 'Sequential' ? layers.at(-1)!.name : namesOf(config.output_layers)[0];
  const entrance = layers.find((each) => each.name === input);
  if (input === undefined || output === undefined || !entrance) {
    throw new UnsupportedPackageError('its network does not state its input and its output');
  }
  if (namesOf(config.input_layers).length > 1 || namesOf(config.output_layers).length > 1) {
    throw new UnsupportedPackageError(
      'its network has several inputs or outputs; only one of each is supported',
    );
  }
  const shape = entrance.config.batch_input_shape as unknown[] | undefined;
  const channels = shape?.at(-1);
  if (shape?.length !== 4 || typeof channels !== 'number') {
    throw new UnsupportedPackageError(
      `its layer "${input}" takes no images [batch, rows, columns, channels] of a known number of channels`,
    );
  }
  return { layers, input, output, channels };
}

/** The names of `input_layers` and `output_layers`: of one layer, or a list of them. */
function namesOf(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  if (typeof value[0] === 'string') return [value[0]];
  return value.flatMap((each) => (Array.isArray(each) && typeof each[0] === 'string' ? [each[0]] : []));
}

type RawLayer = z.output<typeof layer>;

/** The layers of a sequential model, each reading the one before it. */
function sequence(raw: readonly RawLayer[]): LayerConfig[] {
  const first = raw[0]?.config;
  const shape = first?.batch_input_shape ?? first?.batch_shape;
  const list = raw[0]?.class_name === 'InputLayer' || shape === undefined ? raw : [inputOf(shape), ...raw];
  return list.map((each, i) => {
    const before = list[i - 1];
    const inbound: Inbound[][] = before ? [[[nameOf(before), 0, 0, {}]]] : [];
    return { ...plain(each), inbound_nodes: inbound };
  });
}

const inputOf = (shape: unknown): RawLayer => ({
  class_name: 'InputLayer',
  name: 'image_input',
  config: { name: 'image_input', batch_input_shape: shape, dtype: 'float32', sparse: false },
});

const nameOf = ({ name: own, config }: RawLayer): string => own ?? (config.name as string);

function functional(raw: RawLayer): LayerConfig {
  const nodes = raw.inbound_nodes ?? [];
  if (nodes.length > 1) refuse(nameOf(raw), 'it is used more than once');
  return { ...plain(raw), inbound_nodes: nodes.map((node) => inboundOf(node, nameOf(raw))) };
}

/** What a layer reads: of Keras 2 and TensorFlow.js a list, of Keras 3 the arguments of a call. */
function inboundOf(node: unknown, layerName: string): Inbound[] {
  if (Array.isArray(node)) {
    // an only tensor may stand without a list
    const list = typeof node[0] === 'string' ? [node] : node;
    return list.map(([from, index, tensor]) => [String(from), Number(index), Number(tensor), {}]);
  }
  const { args } = z.object({ args: z.array(z.unknown()) }).parse(node);
  const tensors = z.array(kerasTensor).safeParse(args.flat());
  if (!tensors.success) return refuse(layerName, 'it is called with more than images');
  return tensors.data.map(
    ({
      config: {
        keras_history: [from, index, tensor],
      },
    }) => [from, index, tensor, {}],
  );
}

/** A layer in the terms of Keras 2, without what is for training alone. */
function plain(raw: RawLayer): Omit<LayerConfig, 'inbound_nodes'> {
  const own = nameOf(raw);
  const entries = Object.entries(raw.config).filter(([key]) => !TRAINING_KEYS.test(key) && key !== 'dtype');
  const config: Record<string, unknown> = { ...Object.fromEntries(entries), name: own, dtype: 'float32' };
  config.batch_input_shape ??= config.batch_shape;
  delete config.batch_shape;
  if (config.batch_input_shape === undefined) delete config.batch_input_shape;
  if (raw.class_name === 'BatchNormalization' && Array.isArray(config.axis)) config.axis = config.axis[0];
  if (raw.class_name === 'LeakyReLU') config.alpha ??= config.negative_slope ?? 0.3;
  if (raw.class_name === 'ReLU' && config.max_value === undefined) delete config.max_value;
  return { class_name: raw.class_name, name: own, config };
}

/** @throws UnsupportedPackageError */
function checkLayer({ class_name: kind, name: own, config }: LayerConfig): void {
  if (!SUPPORTED.has(kind)) refuse(own, `layers of class ${kind} are not supported`);
  if (config.data_format === 'channels_first')
    refuse(own, 'its channels come first; only channels_last is supported');
  if (config.groups !== undefined && config.groups !== 1)
    refuse(own, `its convolution is of ${config.groups} groups`);
  if (
    config.activation !== undefined &&
    config.activation !== null &&
    typeof config.activation !== 'string'
  ) {
    refuse(own, 'its activation is a layer of its own kind');
  }
  for (const [key, accepted] of Object.entries(ONLY[kind] ?? {})) {
    const value = config[key];
    if (value === undefined || value === null || accepted.includes(JSON.stringify(value))) continue;
    refuse(own, `its ${key} is ${JSON.stringify(value)}; only ${accepted.join(' or ')} is supported`);
  }
}

/** Values of what TensorFlow.js does not read of a layer, or reads otherwise, as JSON. */
const ONLY: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  ReLU: { negative_slope: ['0'], threshold: ['0'] },
  Softmax: { axis: ['-1', '3'] },
  Concatenate: { axis: ['-1', '3'] },
  BatchNormalization: { axis: ['-1', '3'] },
  Conv2DTranspose: { output_padding: ['null'], dilation_rate: ['1', '[1,1]'] },
};

const refuse = (layerName: string, reason: string): never => {
  throw new UnsupportedPackageError(`its layer "${layerName}" is not supported: ${reason}`);
};

/**
 * A network as TensorFlow.js loads it, for images of one side. Layers of training alone become none, and the activation of
 * the last layer one of its own, so that labels need none of it.
 */
export function topologyOf({ layers, input, output, channels }: LayersConfig, side: number): object {
  const kept = layers.map((each) => {
    const isTrainedOnly = TRAINED_ONLY.has(each.class_name);
    const kind = isTrainedOnly ? 'Dropout' : each.class_name;
    const config: Record<string, unknown> = isTrainedOnly ? { name: each.name, rate: 0 } : { ...each.config };
    if (each.name === input) config.batch_input_shape = [null, side, side, channels];
    return { class_name: kind, name: each.name, config, inbound_nodes: each.inbound_nodes };
  });
  const end = kept.find((each) => each.name === output)!;
  const { activation } = end.config as { activation?: string };
  let last = output;
  if (end.class_name !== 'Activation' && (activation === 'softmax' || activation === 'sigmoid')) {
    end.config = { ...end.config, activation: 'linear' };
    last = `${output}_activation`;
    const inbound: Inbound[][] = [[[output, 0, 0, {}]]];
    kept.push({
      class_name: 'Activation',
      name: last,
      config: { name: last, activation },
      inbound_nodes: inbound,
    });
  }
  const config = {
    name: 'network',
    layers: kept,
    input_layers: [[input, 0, 0]],
    output_layers: [[last, 0, 0]],
  };
  return { class_name: 'Model', config, keras_version: 'tfjs-layers 4.22.0', backend: 'tensor_flow.js' };
}
