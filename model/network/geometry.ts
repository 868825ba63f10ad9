import type * as tfl from '@tensorflow/tfjs-layers';
import { InexactModelError } from '../errors.js';

/** Lengths on the four sides of a rectangle, in px. */
export interface Margins {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

/** How a network's tiles relate to its input, in input px. */
export interface TileGeometry {
  /** The context that a tile reads around the pixels that it outputs. */
  readonly halo: Margins;
  /** The part of the halo that the network still outputs; those pixels depend on its zero padding and are cropped. */
  readonly padded: Margins;
  /** Tiles agree with one pass over the whole image only where their origins are congruent modulo this. */
  readonly multiple: number;
  /** Valid input sizes are `smallest + k·multiple`; the smallest one outputs at least `multiple` px. */
  readonly smallest: number;
  /** False where logits are resized: there is one input size then, and tiles differ from a whole pass. */
  readonly tileable: boolean;
}

/** Where a layer's feature map lies on the input, along one dimension; lengths in input px. */
interface Map1D {
  /** Input px between neighbouring map px. */
  readonly scale: number;
  /** An input of n px makes a map of `(n − cut) / scale` px. */
  readonly cut: number;
  /** Input px before the map's first px. */
  readonly offset: number;
  /** How far zero padding reaches into the map, from its start and from its end. */
  readonly front: number;
  readonly back: number;
}

/** A network's geometry along one dimension. */
interface Walk {
  readonly before: number;
  readonly after: number;
  readonly front: number;
  readonly back: number;
  readonly multiple: number;
  readonly smallest: number;
}

/** Input sizes must satisfy `n ≡ residue (mod modulus)`. */
interface Condition {
  readonly layer: string;
  readonly modulus: number;
  readonly residue: number;
}

const mod = (a: number, n: number): number => ((a % n) + n) % n;

function leastCommonMultiple(a: number, b: number): number {
  let [greatest, rest] = [a, b];
  while (rest > 0) [greatest, rest] = [rest, greatest % rest];
  return (a / greatest) * b;
}

/**
 * Derives the geometry by walking the layers. It holds for any network of convolutions without stride, pooling and
 * up-convolution with strides equal to their kernels, crops, concatenations, sums, and pointwise layers.
 * Convolutions may pad: the reach of their zeros is tracked, and cropped.
 *
 * @throws InexactModelError naming the first layer that would make tiles differ from one pass over the whole image
 */
export function tileGeometryOf(model: tfl.LayersModel): TileGeometry {
  const resized = model.layers.find((layer) => layer.getClassName() === 'Resizing');
  if (resized) return resizedGeometry(model, resized);
  const [rows, columns] = [walk(model, 0), walk(model, 1)];
  if (rows.multiple !== columns.multiple || rows.smallest !== columns.smallest) {
    throw new InexactModelError(last(model.layers).name, 'its tile sizes differ between rows and columns');
  }
  return {
    halo: { top: rows.before, left: columns.before, bottom: rows.after, right: columns.after },
    padded: { top: rows.front, left: columns.front, bottom: rows.back, right: columns.back },
    multiple: rows.multiple,
    smallest: rows.smallest,
    tileable: true,
  };
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

function walk(model: tfl.LayersModel, axis: 0 | 1): Walk {
  const maps = new Map<number, Map1D>();
  const conditions: Condition[] = [];
  for (const layer of model.layers) {
    const output = single(layer, layer.output);
    if (layer.getClassName() === 'InputLayer') {
      maps.set(output.id, { scale: 1, cut: 0, offset: 0, front: 0, back: 0 });
      continue;
    }
    const inputs = (Array.isArray(layer.input) ? layer.input : [layer.input]).map((t) => maps.get(t.id)!);
    const map = step(layer, inputs, axis);
    if (map.scale < 1) throw new InexactModelError(layer.name, 'its feature map is finer than the image');
    conditions.push({ layer: layer.name, modulus: map.scale, residue: mod(map.cut, map.scale) });
    maps.set(output.id, map);
  }
  const end = last(model.layers);
  const final = maps.get(single(end, model.outputs).id)!;
  if (final.scale !== 1) throw new InexactModelError(end.name, 'its output is not at the scale of the image');
  const before = final.offset + final.front;
  const after = final.cut - final.offset + final.back;

  // the poolings of concatenated branches need not divide each other
  const multiple = conditions.map((c) => c.modulus).reduce(leastCommonMultiple);
  const fits = (n: number) => conditions.every((c) => mod(n, c.modulus) === c.residue);
  const largestCut = Math.max(...[...maps.values()].map((m) => m.cut + m.scale));
  const least = Math.max(before + after + multiple, largestCut);
  for (let n = least; n < least + multiple; n++) {
    if (fits(n)) return { before, after, front: final.front, back: final.back, multiple, smallest: n };
  }
  throw new InexactModelError(end.name, 'no input size suits all of its poolings');
}

/** The map of a layer's output, given those of its inputs. */
function step(layer: tfl.layers.Layer, inputs: readonly Map1D[], axis: 0 | 1): Map1D {
  const refuse = (reason: string): never => {
    throw new InexactModelError(layer.name, reason);
  };
  const input = inputs[0]!;
  const { scale, cut, offset, front, back } = input;
  const config = layer.getConfig() as Record<string, unknown>;
  const along = (key: string): number => {
    const value = config[key] as number | number[];
    return Array.isArray(value) ? value[axis]! : value;
  };
  const kind = layer.getClassName();
  switch (kind) {
    case 'Conv2D': {
      const reach = (along('kernelSize') - 1) * (along('dilationRate') ?? 1);
      const ahead = Math.floor(reach / 2);
      if (along('strides') !== 1) refuse('it has a stride; only pooling may downsample');
      if (config.padding === 'valid')
        return { scale, cut: cut + reach * scale, offset: offset + ahead * scale, front, back };
      if (config.padding !== 'same') refuse(`its padding is "${String(config.padding)}"`);
      return { scale, cut, offset, front: front + ahead * scale, back: back + (reach - ahead) * scale };
    }
    case 'MaxPooling2D':
    case 'AveragePooling2D': {
      const size = along('poolSize');
      if (config.padding !== 'valid') refuse('it pads its input; only "valid" pooling is exact');
      if (along('strides') !== size)
        refuse('its windows overlap; only strides equal to the window are exact');
      const windows = (px: number) => Math.ceil(px / (scale * size)) * scale * size;
      return { scale: scale * size, cut, offset, front: windows(front), back: windows(back) };
    }
    case 'Conv2DTranspose': {
      const size = along('kernelSize');
      if (along('strides') !== size) refuse('its blocks overlap; only strides equal to the kernel are exact');
      if (!Number.isInteger(scale / size)) refuse('it does not undo a pooling before it');
      return { ...input, scale: scale / size };
    }
    case 'UpSampling2D': {
      const size = along('size');
      if (config.interpolation !== 'nearest') refuse('it interpolates; only "nearest" is exact');
      if (!Number.isInteger(scale / size)) refuse('it does not undo a pooling before it');
      return { ...input, scale: scale / size };
    }
    case 'Cropping2D': {
      const [before, after] = (config.cropping as [number, number][])[axis]!;
      return {
        scale,
        cut: cut + (before + after) * scale,
        offset: offset + before * scale,
        front: Math.max(0, front - before * scale),
        back: Math.max(0, back - after * scale),
      };
    }
    case 'Concatenate':
    case 'Add': {
      const aligned = inputs.every((m) => m.scale === scale && m.cut === cut && m.offset === offset);
      if (!aligned) refuse('it joins feature maps that are not aligned');
      const most = (side: 'front' | 'back') => Math.max(...inputs.map((m) => m[side]));
      return { ...input, front: most('front'), back: most('back') };
    }
    case 'Activation':
    case 'BatchNormalization':
    case 'Dropout':
    case 'ReLU':
    case 'Softmax':
      return input;
    default:
      return refuse(`layers of class ${kind} are not supported`);
  }
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

function last<T>(items: readonly T[]): T {
  return items[items.length - 1]!;
}
