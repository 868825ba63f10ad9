import { ModelChoiceError } from '../errors.js';
import type { TileModel } from '../network/tile-model.js';
import type { OnnxBackend } from '../onnx/backend.js';
import { runModel } from '../onnx/run-model.js';
import { exportLayers, hasLayersFor, type LayersFiles } from './export-layers.js';
import { exportOnnx } from './export-onnx.js';
import { INPUT, OUTPUT, shortestSide } from './mirrored-graph.js';

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
  /** Null where none were requested, or none compute the network. */
  readonly layers: LayersFiles | null;
  /** The probabilities of the test image that ONNX Runtime computes by the graph, `[side, side, classes]`. */
  readonly probabilities: Float32Array;
  /** The shortest side of an image that the graph takes. */
  readonly shortestSide: number;
}

/**
 * Exports a network, and computes a test image with the exported graph.
 * @throws ModelChoiceError for networks that resize their scores, and images that are too small
 */
export async function exportModel(
  network: TileModel,
  backend: OnnxBackend,
  { range, side, image, layers, classes }: ExportRequest,
): Promise<ExportedModel> {
  const { geometry, inputChannels } = network;
  if (!geometry.tileable) {
    throw new ModelChoiceError(
      'a network that resizes its scores takes images of one size: only the network itself can be exported',
    );
  }
  const shortest = shortestSide(geometry);
  if (side < shortest) {
    throw new ModelChoiceError(
      `images of ${side} px are too small for the network: at least ${shortest} px are needed on each side`,
    );
  }
  const onnx = await exportOnnx(network, backend, { kind: 'whole', range }, classes);
  const stored = { data: Float32Array.from(image), dims: [1, side, side, inputChannels] };
  return {
    onnx,
    layers: layers && hasLayersFor(network) ? await exportLayers(network, { side, range }) : null,
    probabilities: await runModel(onnx, { [INPUT]: stored }, OUTPUT),
    shortestSide: shortest,
  };
}
