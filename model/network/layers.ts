import type * as tfl from '@tensorflow/tfjs-layers';

/** One layer of a network, for listings and drawings. */
export interface LayerFacts {
  readonly name: string;
  readonly kind: string;
  /** Height, width and channels of its output, at the input size of the saved model. */
  readonly shape: readonly [number, number, number];
  readonly parameters: number;
  /** Names of the layers that it reads; none for an input layer. */
  readonly inputs: readonly string[];
}

/** The layers of a network in order of computation. */
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
