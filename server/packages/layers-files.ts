import { z } from 'zod';
import { PackageError, UnsupportedPackageError } from '../../model/errors.js';
import { readLayersConfig } from '../../model/exchange/keras-config.js';
import { readKeras } from './keras-file.js';
import { layersSource, type NetworkSource } from './network-source.js';
import { openArchive, type PackageFiles } from './package-files.js';
import { parseBy, parseJson } from './read-checked.js';

const weightSpec = z.object({
  name: z.string().regex(/^[^/].*\/[^/]+$/, 'expected the name of a layer, a slash, and a name in it'),
  shape: z.array(z.int().min(0)).max(6),
  dtype: z.enum(['float32', 'int32']),
  quantization: z
    .object({
      dtype: z.enum(['uint8', 'uint16', 'float16']),
      scale: z.number().exactOptional(),
      min: z.number().exactOptional(),
    })
    .exactOptional(),
});
/** Of all files of a network together. */
const MAX_WEIGHTS_BYTES = 2 ** 31 - 1;

/** What is used of TensorFlow.js's `model.json`. */
const modelJson = z.object({
  format: z.string().optional(),
  modelTopology: z.record(z.string(), z.unknown()),
  weightsManifest: z.array(z.object({ paths: z.array(z.string()).max(1000), weights: z.array(weightSpec) })),
});

/** The network of Keras's HDF5. @throws PackageError, UnsupportedPackageError */
export async function kerasSource(bytes: Uint8Array, name: string): Promise<NetworkSource> {
  const { config, weights } = await readKeras(bytes, name);
  const parts: Float32Array[] = [];
  const specs = [...weights].flatMap(([layer, tensors]) =>
    tensors.map(({ shape, values }, i) => {
      parts.push(values);
      return { name: `${layer}/${i}`, shape: [...shape], dtype: 'float32' as const };
    }),
  );
  const data = Buffer.concat(
    parts.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)),
  );
  return layersSource({ config: readLayersConfig(config), weights: { specs, data } });
}

/** The network of TensorFlow.js, in an archive. @throws as `tensorflowJsSource` */
export async function tensorflowJsArchive(data: Buffer, name: string): Promise<NetworkSource> {
  const files = await openArchive(name, data);
  try {
    const path = files.paths.find((each) => each.split('/').at(-1) === 'model.json');
    if (path === undefined) throw new PackageError(`${name} has no model.json`);
    return await tensorflowJsSource(files, path);
  } finally {
    await files.close();
  }
}

/**
 * The network of TensorFlow.js.
 * @param path of `model.json` among the files
 * @throws PackageError for files that are missing or damaged; UnsupportedPackageError for graphs, and layers that are not
 *   supported
 */
export async function tensorflowJsSource(files: PackageFiles, path: string): Promise<NetworkSource> {
  const json = parseJson(await files.read(path), path);
  if (!(json as { modelTopology?: unknown } | null)?.modelTopology) {
    throw new PackageError(`${path} is not a model.json of TensorFlow.js: it has no modelTopology`);
  }
  const { format, modelTopology, weightsManifest } = parseBy(modelJson, json, path);
  if (format === 'graph-model') {
    throw new UnsupportedPackageError(
      `${path} is a graph of TensorFlow.js, which has no layers: convert the network that it was made of to ONNX, by tf2onnx`,
    );
  }
  const folder = path.split('/').slice(0, -1);
  const parts: Buffer[] = [];
  const paths = weightsManifest.flatMap((group) => group.paths);
  const [repeated] = paths.filter((each, i) => paths.indexOf(each) < i);
  if (repeated !== undefined) throw new PackageError(`${path} names ${repeated} twice`);
  let left = MAX_WEIGHTS_BYTES;
  for (const each of paths) {
    const part = await files.read([...folder, each].join('/'), left);
    left -= part.length;
    parts.push(part);
  }
  const specs = weightsManifest.flatMap(({ weights }) => weights);
  const config = readLayersConfig(modelTopology.model_config ?? modelTopology);
  return layersSource({ config, weights: { specs, data: Buffer.concat(parts) } });
}
