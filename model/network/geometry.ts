import type * as tfl from '@tensorflow/tfjs-layers';
import { InexactModelError } from '../errors.js';
import { solveGeometry } from './axis/solve.js';
import type { GeometryNode } from './axis/walk.js';
import { layerSteps } from './layer-steps.js';
import type { TileGeometry } from './tile-geometry.js';

export type { Margins, TileGeometry } from './tile-geometry.js';

/**
 * Derives the geometry of a network of layers. It holds for convolutions, poolings and up-convolutions with any windows,
 * strides and padding, crops, joins, and layers that compute px by px. The reach of padding is tracked, and cropped.
 *
 * @throws InexactModelError naming the first layer that would make tiles differ from one pass over the whole image
 */
export function tileGeometryOf(model: tfl.LayersModel): TileGeometry {
  const resized = model.layers.find((layer) => layer.getClassName() === 'Resizing');
  if (resized) return resizedGeometry(model, resized);
  const nodes: GeometryNode[] = [];
  for (const layer of model.layers) {
    const output = single(layer, layer.output);
    if (layer.getClassName() === 'InputLayer') continue;
    const inputs = [layer.input].flat().map(({ id }) => id);
    nodes.push({ name: layer.name, inputs, output: output.id, steps: layerSteps(layer) });
  }
  const end = model.layers.at(-1)!;
  return solveGeometry({
    nodes,
    input: single(end, model.inputs).id,
    output: single(end, model.outputs).id,
  });
}

/** The geometry of a network that resizes its logits: the output is centred in its only input size. */
function resizedGeometry(model: tfl.LayersModel, layer: tfl.layers.Layer): TileGeometry {
  const { height, width } = layer.getConfig() as { height: number; width: number };
  const [, rows, columns] = model.inputs[0]!.shape as [null, number, number, number];
  const [y, x] = [(rows - height) / 2, (columns - width) / 2];
  const halo = { top: Math.floor(y), left: Math.floor(x), bottom: Math.ceil(y), right: Math.ceil(x) };
  const none = { top: 0, left: 0, bottom: 0, right: 0 };
  return { halo, padded: none, multiple: 1, smallest: rows, tileable: false };
}

function single(
  layer: tfl.layers.Layer,
  tensors: tfl.SymbolicTensor | tfl.SymbolicTensor[],
): tfl.SymbolicTensor {
  if (!Array.isArray(tensors)) return tensors;
  if (tensors.length !== 1)
    throw new InexactModelError(layer.name, 'only models with one input and one output can be tiled');
  return tensors[0]!;
}
