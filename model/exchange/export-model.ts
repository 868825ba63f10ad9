import { ModelChoiceError } from '../errors.js';
import { FrozenModel } from '../network/frozen.js';
import type { TileModel } from '../network/tile-model.js';
import type { OnnxBackend } from '../onnx/backend.js';
import { runModel } from '../onnx/run-model.js';
import type { Runtime } from '../runtime.js';
import { exportLayers, type LayersFiles } from './export-layers.js';
import { exportOnnx } from './export-onnx.js';
import { INPUT, OUTPUT, paddingOf, shortestSide } from './mirrored-graph.js';

export type StoredPixels = Uint8Array | Uint16Array | Float32Array;

export interface ExportRequest {
  /** The stored values of black and white, such as 0 and 255, that the network sees as 0 and 1. */
  readonly range: readonly [low: number, high: number];
  /** The side of the test image, and of the images that the layers take. */
  readonly side: number;
  /** The test image, `[side, side, channels]`. */
  readonly image: StoredPixels;
  /** Whether layers are exported, too. */
  readonly layers: boolean;
  readonly classes: number;
}

/** A network for other programs. */
export interface ExportedModel {
  readonly onnx: Uint8Array;
  /** Null where none were requested, or the network is none of layers. */
  readonly layers: LayersFiles | null;
  /** The probabilities of the test image as this server computes them, `[side, side, classes]`. */
  readonly probabilities: Float32Array;
  /** The largest difference of them from those of the ONNX graph; 0 where they agree bit for bit. */
  readonly largestDifference: number;
  /** The shortest side of an image that the graph takes. */
  readonly shortestSide: number;
}

/**
 * Exports a network, and computes a test image with it as it is served.
 * @throws ModelChoiceError for networks that resize their scores, and images that are too small
 */
export async function exportModel(
  network: TileModel,
  runtime: Runtime,
  backend: OnnxBackend,
  { range, side, image, layers, classes }: ExportRequest,
): Promise<ExportedModel> {
  const { geometry, inputChannels } = network;
  if (!geometry.tileable) {
    throw new ModelChoiceError(
      'a network that resizes its scores takes images of one size: export it by --onnx',
    );
  }
  const shortest = shortestSide(geometry);
  if (side < shortest) {
    throw new ModelChoiceError(`--size ${side}: its images are at least ${shortest} px long and wide`);
  }
  const onnx = await exportOnnx(network, backend, { kind: 'whole', range }, classes);
  const served = await predictWhole(network, runtime, image, side);
  const stored = { data: Float32Array.from(image), dims: [1, side, side, inputChannels] };
  const computed = await runModel(onnx, { [INPUT]: stored }, OUTPUT);
  return {
    onnx,
    layers: layers && network.layers !== null ? await exportLayers(network, { side, range }) : null,
    probabilities: served,
    largestDifference: served.reduce((most, value, i) => Math.max(most, Math.abs(value - computed[i]!)), 0),
    shortestSide: shortest,
  };
}

/** The probabilities of a whole image, as a job gives them. */
async function predictWhole(
  network: TileModel,
  runtime: Runtime,
  image: StoredPixels,
  side: number,
): Promise<Float32Array> {
  const { geometry, inputChannels: channels } = network;
  const [rows, columns] = [paddingOf(geometry, 'rows', side), paddingOf(geometry, 'columns', side)];
  const height = rows.before + side + rows.after;
  const width = columns.before + side + columns.after;
  const reflected = (at: number) => (Math.abs(at) < side ? Math.abs(at) : 2 * (side - 1) - at);
  const data = new (image.constructor as typeof Uint8Array)(height * width * channels);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = (reflected(y - rows.before) * side + reflected(x - columns.before)) * channels;
      data.set(image.subarray(from, from + channels), (y * width + x) * channels);
    }
  }
  const frozen = await FrozenModel.of(network, runtime);
  const values = await frozen.predict({ data, count: 1, height, width, channels }, 'probabilities');
  const across = width - geometry.halo.left - geometry.halo.right;
  const classes = values.length / (across * (height - geometry.halo.top - geometry.halo.bottom));
  const own = new Float32Array(side * side * classes);
  for (let y = 0; y < side; y++) {
    const from = y * across * classes;
    own.set(values.subarray(from, from + side * classes), y * side * classes);
  }
  return own;
}
