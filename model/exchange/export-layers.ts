import tf = require('@tensorflow/tfjs-core');
import tfl = require('@tensorflow/tfjs-layers');

import { ModelChoiceError } from '../errors.js';
import { activationOf } from '../network/score-kind.js';
import type { TileModel } from '../network/tile-model.js';
import { WEIGHTS_FILE } from '../shelf/model-files.js';
import { paddingOf } from './mirrored-graph.js';

/** What plain TensorFlow.js loads: the two files of a `LayersModel`. */
export interface LayersFiles {
  /** `model.json`. */
  readonly topology: string;
  /** `weights.bin`. */
  readonly weights: Uint8Array;
}

/** Whether layers of TensorFlow.js compute the probabilities of a network: they have none for a background beside sigmoids. */
export const hasLayersFor = ({ layers, head, outputChannels }: TileModel): boolean =>
  layers !== null && (head.kind !== 'sigmoid' || outputChannels === 1);

/**
 * A network as layers that plain TensorFlow.js has, for images `[batch, side, side, channels]` of stored values: they are
 * mirrored at their borders, and each px gets probabilities of all classes. Such layers mirror by a product with a matrix of
 * zeros and ones, which is exact, and for which the side must be known.
 *
 * @param options.side px, at least the `shortestSide`
 * @throws ModelChoiceError for a network without layers that compute its probabilities; see `hasLayersFor`
 */
export async function exportLayers(
  network: TileModel,
  {
    side,
    range: [low, high],
  }: { readonly side: number; readonly range: readonly [low: number, high: number] },
): Promise<LayersFiles> {
  const { geometry, layers, head, inputChannels, outputChannels } = network;
  if (layers === null || !hasLayersFor(network))
    throw new ModelChoiceError('no layers of TensorFlow.js compute its network: only ONNX can be exported');
  const { rescaling, cropping2D, activation, concatenate } = tfl.layers;
  const input = tfl.input({ shape: [side, side, inputChannels], name: 'image' });
  const scaled = rescaling({ name: 'intensities', scale: 1 / (high - low), offset: -low / (high - low) });
  let x = scaled.apply(input) as tfl.SymbolicTensor;
  const rows = paddingOf(geometry, 'rows', side);
  const columns = paddingOf(geometry, 'columns', side);
  x = mirror(x, { name: 'rows', side, ...rows, there: [2, 3, 1], back: [3, 1, 2] });
  x = mirror(x, { name: 'columns', side, ...columns, there: [1, 3, 2], back: [1, 3, 2] });
  const own = await resized(layers.scores, x.shape[1]!, inputChannels);
  x = own.apply(x) as tfl.SymbolicTensor;
  const { top, left } = geometry.padded;
  const [, height, width] = x.shape as [null, number, number, number];
  const edges: [[number, number], [number, number]] = [
    [top, height - top - side],
    [left, width - left - side],
  ];
  if (edges.flat().some((px) => px > 0)) {
    x = cropping2D({ name: 'without_padding', cropping: edges }).apply(x) as tfl.SymbolicTensor;
  }
  const ending = activationOf(head.kind);
  if (ending !== null) {
    x = activation({ name: 'probabilities', activation: ending }).apply(x) as tfl.SymbolicTensor;
  }
  if (outputChannels === 1) {
    const rest = rescaling({ name: 'first_class', scale: -1, offset: 1 }).apply(x) as tfl.SymbolicTensor;
    x = concatenate({ name: 'both_classes' }).apply([rest, x]) as tfl.SymbolicTensor;
  }
  const whole = tfl.model({ name: 'segmentation', inputs: input, outputs: x });
  try {
    return await layersFilesOf(whole);
  } finally {
    whole.dispose();
  }
}

interface Mirroring {
  readonly name: string;
  readonly side: number;
  readonly before: number;
  readonly after: number;
  /** The permutation that makes the mirrored dimension the last one, and the one that undoes it; the batch is not counted. */
  readonly there: number[];
  readonly back: number[];
}

/** Mirrors one dimension at both ends, without repeating its first and last value. */
function mirror(
  x: tfl.SymbolicTensor,
  { name, side, before, after, there, back }: Mirroring,
): tfl.SymbolicTensor {
  const units = before + side + after;
  const { permute, dense } = tfl.layers;
  const chosen = new Float32Array(side * units);
  for (let i = 0; i < units; i++) {
    const at = Math.abs(i - before);
    chosen[(at < side ? at : 2 * (side - 1) - at) * units + i] = 1;
  }
  const product = dense({ name: `mirrored_${name}`, units, useBias: false });
  const moved = permute({ name: `${name}_last`, dims: there }).apply(x);
  const mirrored = product.apply(moved);
  tf.tidy(() => product.setWeights([tf.tensor(chosen, [side, units])]));
  return permute({ name: `${name}_back`, dims: back }).apply(mirrored) as tfl.SymbolicTensor;
}

/** A copy of a network of layers for images of another side; its weights are copies, too. */
async function resized(network: tfl.LayersModel, side: number, channels: number): Promise<tfl.LayersModel> {
  const config = JSON.parse(JSON.stringify(network.toJSON(null, false))) as {
    config: { name: string; layers: { class_name: string; config: Record<string, unknown> }[] };
  };
  config.config.name = 'network'; // its own is a number of this process
  for (const layer of config.config.layers) {
    if (layer.class_name === 'InputLayer') layer.config.batch_input_shape = [null, side, side, channels];
  }
  const copy = (await tfl.models.modelFromJSON(config as never)) as tfl.LayersModel;
  copy.setWeights(network.getWeights());
  return copy;
}

/** The files of a network of layers. */
export async function layersFilesOf(model: tfl.LayersModel): Promise<LayersFiles> {
  let files: LayersFiles | undefined;
  await model.save(
    tf.io.withSaveHandler(async ({ weightData, weightSpecs, modelTopology, format, generatedBy }) => {
      const weights = new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData as ArrayBuffer));
      const weightsManifest = [{ paths: [WEIGHTS_FILE], weights: weightSpecs }];
      const json = { format, generatedBy, modelTopology, weightsManifest };
      files = { topology: `${JSON.stringify(json)}\n`, weights };
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const } };
    }),
  );
  return files!;
}
