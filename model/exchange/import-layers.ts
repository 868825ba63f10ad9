import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

import { InexactModelError, PackageError } from '../errors.js';
import { LayersNetwork } from '../network/layers-network.js';
import { inPhase } from '../network/phase.js';
import { PROBED_SIDES } from '../network/probed-sides.js';
import { type LayersConfig, topologyOf } from './keras-config.js';

/** Weights as TensorFlow.js's `model.json` lists them. */
export interface WeightsFile {
  /** Named by their layer, a slash, and whatever they are in it; in the order in which the layer has them. */
  readonly specs: readonly tf.io.WeightsManifestEntry[];
  readonly data: Uint8Array;
}

/**
 * Builds a network of somebody else's layers, for images of its smallest size.
 * @throws InexactModelError naming the first layer that would make tiles differ
 * @throws PackageError for weights that are missing, or of other shapes
 */
export async function importLayers(config: LayersConfig, weights: WeightsFile): Promise<LayersNetwork> {
  const tensors = decode(weights);
  try {
    const any = await buildAtSome(config, tensors);
    let geometry: LayersNetwork['geometry'];
    try {
      geometry = new LayersNetwork(any, 'probabilities', inPhase).geometry;
    } finally {
      any.dispose();
    }
    return new LayersNetwork(await build(config, geometry.smallest, tensors), 'probabilities', inPhase);
  } finally {
    tf.dispose([...tensors.values()].flat());
  }
}

type LayerTensors = ReadonlyMap<string, readonly tf.Tensor[]>;

/** The tensors of each layer. @throws PackageError for fewer bytes than are listed */
function decode({ specs, data }: WeightsFile): LayerTensors {
  const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer;
  let named: tf.NamedTensorMap;
  try {
    named = tf.io.decodeWeights(buffer, [...specs]);
  } catch (cause) {
    throw new PackageError(`its weights are damaged: ${(cause as Error).message}`, { cause });
  }
  const tensors = new Map<string, tf.Tensor[]>();
  for (const { name } of specs) {
    const layer = name.slice(0, name.lastIndexOf('/'));
    tensors.set(layer, [...(tensors.get(layer) ?? []), named[name]!]);
  }
  return tensors;
}

/** Builds a network for images of some size that it takes. @throws the error of the first size where it takes none */
async function buildAtSome(config: LayersConfig, tensors: LayerTensors): Promise<tfl.LayersModel> {
  let error: unknown = null;
  for (const side of PROBED_SIDES) {
    try {
      return await build(config, side, tensors);
    } catch (cause) {
      if (cause instanceof PackageError) throw cause; // other sizes have the same weights
      error ??= cause;
    }
  }
  throw new InexactModelError(config.output, `no image suits its layers: ${(error as Error).message}`);
}

async function build(config: LayersConfig, side: number, tensors: LayerTensors): Promise<tfl.LayersModel> {
  const model = (await tfl.models.modelFromJSON(topologyOf(config, side) as never)) as tfl.LayersModel;
  try {
    for (const layer of model.layers) {
      const own = tensors.get(layer.name) ?? [];
      if (own.length !== layer.weights.length) {
        throw new PackageError(
          `its layer "${layer.name}" has ${own.length} of ${layer.weights.length} weights`,
        );
      }
      try {
        layer.setWeights([...own]);
      } catch (cause) {
        throw new PackageError(`the weights of its layer "${layer.name}": ${(cause as Error).message}`, {
          cause,
        });
      }
    }
    return model;
  } catch (error) {
    model.dispose();
    throw error;
  }
}
