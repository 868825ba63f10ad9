import { z } from 'zod';
import { PackageError, UnsupportedPackageError } from '../../model/errors.js';
import { readLayersConfig } from '../../model/exchange/keras-config.js';
import { issueOf } from '../../model/shelf/schema-issue.js';
import { readKeras } from './keras-file.js';
import { layersSource, type NetworkSource } from './network-source.js';
import { openArchive, type PackageFiles } from './package-files.js';

const weightSpec = z.object({
  name: z.string().regex(/^[^/].*\/[^/]+$/, 'no name of a layer, a slash and a name in it'),
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
/** What is read of TensorFlow.js's `model.json`. */
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
 * @throws PackageError for files that are missing or damaged; UnsupportedPackageError for graphs, and layers that are not read
 */
export async function tensorflowJsSource(files: PackageFiles, path: string): Promise<NetworkSource> {
  const parsed = modelJson.safeParse(parseJson(await files.read(path), path));
  if (!parsed.success) throw new PackageError(`${path}: ${issueOf(parsed.error)}`);
  const { format, modelTopology, weightsManifest } = parsed.data;
  if (format === 'graph-model') {
    throw new UnsupportedPackageError(
      `${path} is a graph of TensorFlow.js, which has no layers: convert the network that it was made of to ONNX, by tf2onnx`,
    );
  }
  const folder = path.split('/').slice(0, -1);
  const parts: Buffer[] = [];
  for (const { paths } of weightsManifest) {
    for (const each of paths) parts.push(await files.read([...folder, each].join('/')));
  }
  const specs = weightsManifest.flatMap(({ weights }) => weights);
  const config = readLayersConfig(modelTopology.model_config ?? modelTopology);
  return layersSource({ config, weights: { specs, data: Buffer.concat(parts) } });
}

function parseJson(bytes: Buffer, name: string): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new PackageError(`${name} is no JSON`, { cause });
  }
}
