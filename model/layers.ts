import type * as tfl from '@tensorflow/tfjs-layers';

/** One layer of a network, as it is listed and drawn. */
export interface LayerFacts {
  readonly name: string;
  readonly kind: string;
  /** Height, width and channels of its output, for the input that the model was saved with. */
  readonly shape: readonly [number, number, number];
  readonly parameters: number;
  /** Names of the layers that it reads. */
  readonly inputs: readonly string[];
}

/** The layers of a network in the order in which they are computed. */
export function layersOf(model: tfl.LayersModel): LayerFacts[] {
  return model.layers.map((layer) => {
    const [, ...shape] = layer.outputShape as [null, number, number, number];
    const sources = [layer.input].flat().map((tensor) => tensor.sourceLayer.name);
    return {
      name: layer.name,
      kind: layer.getClassName(),
      shape,
      parameters: layer.countParams(),
      inputs: layer.getClassName() === 'InputLayer' ? [] : sources,
    };
  });
}
