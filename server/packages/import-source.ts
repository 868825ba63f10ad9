import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { OnnxFileError, PackageError, UnsupportedPackageError } from '../../model/errors.js';
import { NotOnnxError } from '../../model/imported/onnx-file.js';
import type { Normalisation } from '../../model/network/normalisation.js';
import { readOnnxSource } from '../../model/shelf/onnx-source.js';
import { RequestError } from '../contract/errors.js';
import { DESCRIPTION_FILES, parseDescription } from './description.js';
import { HDF5, startsWith, ZIP } from './file-signature.js';
import type { ImportSource } from './import-network.js';
import { kerasSource, tensorflowJsSource } from './layers-files.js';
import { onnxSource } from './network-source.js';
import { readOwnPackage } from './own-package.js';
import { filesWithin, openBeside, openPackage, type PackageFiles } from './package-files.js';
import { type PackageOptions, readForeignPackage } from './package-import.js';

export interface SourceOptions extends PackageOptions {
  /** What becomes of stored values. Default: as a package says; else intensities by the range of their type. */
  readonly normalisation?: Normalisation | undefined;
  /** The output that is the network's, of an ONNX file that has several. */
  readonly output: string | null;
}

/** What a file is, by its first bytes; text has none, and is told by the ending of its name. */
type SourceKind = 'package' | 'description' | 'tensorflow.js' | 'keras' | 'onnx';

async function kindOf(path: string): Promise<SourceKind> {
  if ((await stat(path)).isDirectory() || (await startsWith(path, ZIP))) return 'package';
  if (/\.ya?ml$/i.test(path)) return 'description';
  if (/\.json$/i.test(path)) return 'tensorflow.js';
  return (await startsWith(path, HDF5)) ? 'keras' : 'onnx';
}

/**
 * Reads what is to be imported: an ONNX file; a network of Keras, as HDF5, or of TensorFlow.js, by its `model.json`; or a
 * package of BioImage.IO, as an archive, a folder or its description.
 * @throws RequestError for options that do not concern it; PackageError, UnsupportedPackageError, OnnxFileError
 */
export async function readImportSource(path: string, options: SourceOptions): Promise<ImportSource> {
  const kind = await kindOf(path);
  const isPackage = kind === 'package' || kind === 'description';
  if (options.output !== null && kind !== 'onnx') {
    throw new RequestError(
      'bad-request',
      `--output is for ONNX files of several outputs; ${basename(path)} is not one`,
    );
  }
  if (options.derivesHalo && !isPackage) {
    throw new RequestError(
      'bad-request',
      `--derive-halo is for packages, which may state a halo; ${basename(path)} is not one`,
    );
  }
  const { normalisation } = options;
  if (normalisation && isPackage) {
    throw new RequestError(
      'bad-request',
      `--normalisation is for networks alone; ${basename(path)} is a package, which states it`,
    );
  }
  const card = normalisation ? { normalisation: [...normalisation] } : {};
  switch (kind) {
    case 'package':
      return withFiles(await openPackage(path), (files) => readPackage(files, null, options));
    case 'description':
      return withFiles(await openBeside(path), (files) => readPackage(files, basename(path), options));
    case 'tensorflow.js':
      return withFiles(await openBeside(path), async (files) => ({
        network: await tensorflowJsSource(files, basename(path)),
        card,
        notes: [],
      }));
    case 'keras':
      return { network: await kerasSource(await readFile(path), basename(path)), card, notes: [] };
    case 'onnx':
      return { network: onnxSource(await readOnnx(path, options.output)), card, notes: [] };
  }
}

/** What else could be meant by a file that is no ONNX model. */
const EXPECTED =
  'expected an ONNX file, a package of BioImage.IO (archive, folder or description), HDF5 of Keras, or model.json of TensorFlow.js';

/** Reads an ONNX file. @throws OnnxFileError with its path */
async function readOnnx(path: string, output: string | null): Promise<Uint8Array> {
  try {
    return await readOnnxSource(path, output);
  } catch (cause) {
    if (!(cause instanceof OnnxFileError) || cause.message.startsWith(path)) throw cause;
    const expected = cause instanceof NotOnnxError ? `: ${EXPECTED}` : '';
    throw new OnnxFileError(`${path}: ${cause.message}${expected}`, { cause });
  }
}

/** @param named the path of its description; null where that has its usual name */
async function readPackage(
  files: PackageFiles,
  named: string | null,
  options: PackageOptions,
): Promise<ImportSource> {
  const path = named ?? descriptionIn(files.paths);
  const folder = onlyFolderIn(files.paths);
  if (path === null && folder !== null) return readPackage(filesWithin(files, folder), null, options);
  if (path === null) {
    const other = OTHERS.find(({ file }) => files.paths.some((each) => file.test(each)));
    if (other) throw new UnsupportedPackageError(`${files.name} is ${other.is}: ${other.instead}`);
    throw new PackageError(`${files.name} has no description: ${DESCRIPTION_FILES.join(', or ')}`);
  }
  const description = parseDescription(await files.read(path), path);
  return description.own === null
    ? readForeignPackage(files, description, options)
    : readOwnPackage(files, description, description.own);
}

/** The folder that an archive was made of, where all of its files are in one; those that macOS adds do not count. */
function onlyFolderIn(paths: readonly string[]): string | null {
  const own = paths.filter((path) => !path.startsWith('__MACOSX/'));
  const folders = new Set(own.map((path) => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '')));
  const [folder = ''] = folders;
  return folders.size === 1 && folder !== '' ? folder : null;
}

/** What else is an archive or a folder, by a file in it, and what to import instead. */
const OTHERS = [
  {
    file: /(^|\/)data\.pkl$/,
    is: 'a file of PyTorch',
    instead: 'convert it by tools/from-pytorch.py of unseam, in an environment of Python',
  },
  {
    file: /^model\.weights\.h5$/,
    is: "in Keras's newer format",
    instead: 'save the network as HDF5, by model.save("network.h5")',
  },
  {
    file: /^saved_model\.pb$/,
    is: 'a SavedModel of TensorFlow',
    instead: 'convert it to ONNX: python -m tf2onnx.convert --saved-model FOLDER --output network.onnx',
  },
  {
    file: /^model\.json$/,
    is: 'not a package',
    instead: 'for a network of TensorFlow.js, name its model.json',
  },
] as const;

/** By its name, or by its ending, such as `unet.bioimageio.yaml`, as bioimageio.spec finds it. */
function descriptionIn(paths: readonly string[]): string | null {
  const own = paths.filter((path) => !path.includes('/'));
  for (const name of DESCRIPTION_FILES) {
    const found = own.find((path) => path === name) ?? own.find((path) => path.endsWith(`.${name}`));
    if (found !== undefined) return found;
  }
  return null;
}

async function withFiles<Result>(
  files: PackageFiles,
  read: (files: PackageFiles) => Promise<Result>,
): Promise<Result> {
  try {
    return await read(files);
  } finally {
    await files.close();
  }
}
