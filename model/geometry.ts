import type * as tfl from '@tensorflow/tfjs-layers';
import { InexactModelError } from './errors.js';

/** How a network's tiles relate to its input along both dimensions, in input px. */
export interface TileGeometry {
  /** Input px that the output lacks on every side. */
  readonly halo: number;
  /** Tiles agree with one pass over the image only where their origins are congruent modulo this. */
  readonly multiple: number;
  /** Valid input sizes are `smallest + k·multiple`; the smallest one yields at least `multiple` px. */
  readonly smallest: number;
}

/** Where a layer's map lies over the input, along one dimension. Lengths in input px. */
interface Map1D {
  /** Input px between neighbouring map px. */
  readonly scale: number;
  /** An input of n px makes a map of `(n − cut) / scale` px. */
  readonly cut: number;
  /** Input px in front of the map's first px. */
  readonly offset: number;
}

/** Sizes must satisfy `n ≡ residue (mod modulus)`. */
interface Condition {
  readonly layer: string;
  readonly modulus: number;
  readonly residue: number;
}

const mod = (a: number, n: number): number => ((a % n) + n) % n;

/**
 * Derives the geometry by walking the layers, so that it holds for any network of layers that see
 * no padding: valid convolutions of odd kernels, pooling and up-convolution with stride equal to
 * their kernel, crops, joins, and whatever works on each pixel alone.
 *
 * @throws InexactModelError naming the first layer that would make tiles differ from one whole pass.
 */
export function tileGeometryOf(model: tfl.LayersModel): TileGeometry {
  const [vertical, horizontal] = [walk(model, 0), walk(model, 1)];
  const same = vertical.halo === horizontal.halo && vertical.multiple === horizontal.multiple;
  if (!same || vertical.smallest !== horizontal.smallest) {
    throw new InexactModelError(last(model.layers).name, 'its margins differ between rows and columns');
  }
  return vertical;
}

function walk(model: tfl.LayersModel, axis: 0 | 1): TileGeometry {
  const maps = new Map<number, Map1D>();
  const conditions: Condition[] = [];
  for (const layer of model.layers) {
    const output = single(layer, layer.output);
    if (layer.getClassName() === 'InputLayer') {
      maps.set(output.id, { scale: 1, cut: 0, offset: 0 });
      continue;
    }
    const inputs = (Array.isArray(layer.input) ? layer.input : [layer.input]).map((t) => maps.get(t.id)!);
    const map = step(layer, inputs, axis);
    if (map.scale < 1) throw new InexactModelError(layer.name, 'it makes a map finer than the image');
    conditions.push({ layer: layer.name, modulus: map.scale, residue: mod(map.cut, map.scale) });
    maps.set(output.id, map);
  }
  const end = last(model.layers);
  const final = maps.get(single(end, model.outputs).id)!;
  if (final.scale !== 1) throw new InexactModelError(end.name, 'its output is not at the scale of the image');
  if (final.cut !== 2 * final.offset)
    throw new InexactModelError(end.name, 'its margins differ in front and behind');

  const multiple = Math.max(...conditions.map((c) => c.modulus));
  const fits = (n: number) => conditions.every((c) => mod(n, c.modulus) === c.residue);
  const largestCut = Math.max(...[...maps.values()].map((m) => m.cut + m.scale));
  const least = Math.max(final.cut + multiple, largestCut);
  for (let n = least; n < least + multiple; n++) {
    if (fits(n)) return { halo: final.offset, multiple, smallest: n };
  }
  throw new InexactModelError(end.name, 'no input size suits all of its poolings');
}

/** The map that a layer makes of its inputs' maps. */
function step(layer: tfl.layers.Layer, inputs: readonly Map1D[], axis: 0 | 1): Map1D {
  const refuse = (why: string): never => {
    throw new InexactModelError(layer.name, why);
  };
  const [input] = inputs;
  const { scale, cut, offset } = input!;
  const config = layer.getConfig() as Record<string, unknown>;
  const along = (key: string): number => {
    const value = config[key] as number | number[];
    return Array.isArray(value) ? value[axis]! : value;
  };
  const kind = layer.getClassName();
  switch (kind) {
    case 'Conv2D': {
      const reach = (along('kernelSize') - 1) * (along('dilationRate') ?? 1);
      if (config.padding !== 'valid' && reach > 0)
        refuse('it pads its input; only "valid" convolutions are exact');
      if (along('strides') !== 1) refuse('it has a stride; only pooling may shrink the map');
      if (reach % 2 !== 0) refuse('its kernel is even; only odd kernels have a centre');
      return { scale, cut: cut + reach * scale, offset: offset + (reach / 2) * scale };
    }
    case 'MaxPooling2D':
    case 'AveragePooling2D': {
      const size = along('poolSize');
      if (config.padding !== 'valid') refuse('it pads its input; only "valid" pooling is exact');
      if (along('strides') !== size)
        refuse('its windows overlap; only strides equal to the window are exact');
      return { scale: scale * size, cut, offset };
    }
    case 'Conv2DTranspose': {
      const size = along('kernelSize');
      if (along('strides') !== size) refuse('its blocks overlap; only strides equal to the kernel are exact');
      if (!Number.isInteger(scale / size)) refuse('it does not undo a pooling before it');
      return { scale: scale / size, cut, offset };
    }
    case 'Cropping2D': {
      const [before, after] = (config.cropping as [number, number][])[axis]!;
      return { scale, cut: cut + (before + after) * scale, offset: offset + before * scale };
    }
    case 'Concatenate':
    case 'Add': {
      const aligned = inputs.every((m) => m.scale === scale && m.cut === cut && m.offset === offset);
      if (!aligned) refuse('it joins maps that do not lie over the same pixels');
      return input!;
    }
    case 'Activation':
    case 'ReLU':
    case 'Softmax':
      return input!;
    default:
      return refuse(`layers of class ${kind} are not known to be exact`);
  }
}

function single(
  layer: tfl.layers.Layer,
  tensors: tfl.SymbolicTensor | tfl.SymbolicTensor[],
): tfl.SymbolicTensor {
  if (!Array.isArray(tensors)) return tensors;
  if (tensors.length !== 1)
    throw new InexactModelError(layer.name, 'only models of one input and one output are tiled');
  return tensors[0]!;
}

function last<T>(items: readonly T[]): T {
  return items[items.length - 1]!;
}
