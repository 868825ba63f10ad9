import type { Dataset, File, Group } from 'h5wasm';
import { PackageError } from '../../model/errors.js';
import { HDF5 } from './file-signature.js';

/** A tensor of a layer. */
export interface LayerTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What Keras stores of a network. */
export interface KerasFile {
  readonly config: unknown;
  /** The tensors of each layer that has some, in Keras's order. */
  readonly weights: ReadonlyMap<string, readonly LayerTensor[]>;
}

const MAX_VALUES = 2 ** 29;

/**
 * Reads a network from Keras's HDF5 (`.h5`), of Keras 2 or 3. The library is compiled to WebAssembly and sees a file system
 * of its own, so that no link of a file leads to others.
 * @throws PackageError for what is none, and for weights without an architecture
 */
export async function readKeras(bytes: Uint8Array, name: string): Promise<KerasFile> {
  const fail = (reason: string, cause?: unknown): never => {
    throw new PackageError(`${name}: ${reason}`, { cause });
  };
  if (!HDF5.equals(bytes.subarray(0, HDF5.length))) fail('it is not an HDF5 file');
  const hdf5 = await import('h5wasm'); // it takes as long to load as all else: for these files alone
  await hdf5.ready;
  const fs = hdf5.FS!;
  const path = '/network.h5';
  fs.writeFile(path, bytes);
  let file: File | null = null;
  try {
    file = new hdf5.File(path, 'r');
    const { model_config: text } = file.attrs;
    if (text === undefined)
      fail('it has weights alone, no network: save the whole model in Keras, by model.save');
    const root = file.get('model_weights');
    if (!root || !('attrs' in root)) return fail('it has no weights');
    return { config: JSON.parse(textOf(text!.value)), weights: weightsOf(root as Group, fail) };
  } catch (cause) {
    if (cause instanceof PackageError) throw cause;
    return fail(`it is damaged: ${(cause as Error).message}`, cause);
  } finally {
    file?.close();
    fs.unlink(path);
  }
}

const textOf = (value: unknown): string =>
  value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : String(value);

/** A list of names; a list of none may be one empty name. */
const listOf = (value: unknown): string[] =>
  [value].flat().flatMap((each) => (each == null || textOf(each) === '' ? [] : [textOf(each)]));

function weightsOf(root: Group, fail: (reason: string) => never): Map<string, LayerTensor[]> {
  const weights = new Map<string, LayerTensor[]>();
  let total = 0;
  for (const layer of listOf(root.attrs.layer_names?.value)) {
    const group = root.get(layer) as Group | null;
    if (!group?.attrs) fail(`it has no weights of its layer "${layer}"`);
    const tensors = listOf(group!.attrs.weight_names?.value).map((weight) => {
      const dataset = group!.get(weight) as Dataset | null;
      if (!dataset || !('shape' in dataset) || dataset.shape === null)
        return fail(`it has no weights "${weight}"`);
      const { shape } = dataset;
      total += shape.reduce((product, length) => product * length, 1);
      if (total > MAX_VALUES) fail(`it has more than ${MAX_VALUES} weights`);
      const values = dataset.value;
      if (!ArrayBuffer.isView(values)) return fail(`its weights "${weight}" are not numbers`);
      return { shape: [...shape], values: Float32Array.from(values as unknown as ArrayLike<number>) };
    });
    if (tensors.length > 0) weights.set(layer, tensors);
  }
  return weights;
}
