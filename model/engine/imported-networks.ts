import { readFile } from 'node:fs/promises';

import tf = require('@tensorflow/tfjs-core');

import { ModelConfigError } from '../errors.js';
import { layersFilesOf } from '../exchange/export-layers.js';
import { importLayers } from '../exchange/import-layers.js';
import { importOnnx } from '../imported/import-onnx.js';
import type { Runtime } from '../runtime.js';
import { loadCheckpoint } from '../shelf/checkpoint.js';
import type {
  ImportedLayers,
  InspectedOnnx,
  LayersSource,
  NetworkTensor,
  OnnxInspection,
} from './engine-methods.js';

/** Floats of each px, by what `features` of a card stand for: a U-Net has about this many for each. */
const FLOATS_PER_FEATURE = 5.5;

/** What an ONNX file has. @throws OnnxFileError, UnsupportedNodeError, InexactModelError, ModelChoiceError */
export async function inspectOnnx(path: string, options: OnnxInspection): Promise<InspectedOnnx> {
  const { channels } = options;
  const network = importOnnx(await readFile(path), {
    ...options,
    ...(channels !== undefined && { namedChannels: channels }),
  });
  try {
    const { geometry, reach, inputChannels, outputChannels, parameters, ending, isOfOneSize } = network;
    const features = Math.max(1, Math.ceil(network.floatsPerPixel / FLOATS_PER_FEATURE));
    return { geometry, reach, isOfOneSize, inputChannels, outputChannels, parameters, features, ending };
  } finally {
    network.dispose();
  }
}

/** Builds a network of layers, and what its folder needs of it. @throws InexactModelError, PackageError */
export async function inspectLayers({ config, weights }: LayersSource): Promise<ImportedLayers> {
  const network = await importLayers(config, weights);
  try {
    const { geometry, reach, inputChannels, outputChannels, parameters, layers, head, facts } = network;
    const px = geometry.smallest ** 2;
    const shares = facts.map(({ shape: [height, width, channels] }) => (height * width * channels) / px);
    return {
      geometry,
      reach,
      isOfOneSize: false,
      inputChannels,
      outputChannels,
      parameters,
      features: Math.max(1, Math.ceil(Math.max(...shares))),
      ending: layers.scores === layers.whole ? null : head.kind,
      ...(await layersFilesOf(layers.whole)),
    };
  } finally {
    network.dispose();
  }
}

/**
 * What the network of a folder itself returns for one image, its border and its last layer included.
 * @throws ModelConfigError for an image of other channels
 */
export async function computeNetwork(
  folder: string,
  { values, height, width, channels }: NetworkTensor,
  runtime: Runtime,
): Promise<NetworkTensor> {
  const { network } = await loadCheckpoint(folder);
  try {
    if (channels !== network.inputChannels) {
      throw new ModelConfigError(
        `an image of ${channels} channels for a network of ${network.inputChannels}`,
      );
    }
    await runtime.freeze(network.weights);
    const shape = [1, height, width, channels];
    let result: readonly number[] = [];
    const computation = runtime.trace([shape], ([image]) => {
      const y = network.result(image as tf.Tensor4D);
      result = y.shape;
      return tf.clone(y);
    });
    const [computed] = await computation.run([{ values, shape }]);
    const [, rows, columns, outputs] = result as [number, number, number, number];
    return { values: computed as Float32Array, height: rows, width: columns, channels: outputs };
  } finally {
    network.dispose();
    await runtime.settled();
  }
}
