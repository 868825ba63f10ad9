import { open, readFile, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { PackageError } from '../../model/errors.js';
import { checkTest } from '../../model/exactness/verify-test-tensor.js';
import type { StoredPixels } from '../../model/exchange/export-model.js';
import { parseNpy } from '../../model/exchange/npy.js';
import type { Card } from '../../model/shelf/card.js';
import { readOnnxSource } from '../../model/shelf/onnx-source.js';
import type { ImportRequest } from './import-network.js';
import { kerasSource, tensorflowJsSource } from './layers-files.js';
import { onnxSource } from './network-source.js';
import { isZip, openPackage, type PackageFiles } from './package-files.js';
import { ownCard, type PackageContent, type PackageOptions, readPackage } from './package-import.js';
import { predictWholeImage } from './whole-image.js';

/** What is imported, with what its source says of it. */
export interface ImportSource
  extends Pick<
    ImportRequest,
    'network' | 'card' | 'channels' | 'scores' | 'test' | 'check' | 'verifyServed'
  > {
  /** What a user should know of it. */
  readonly notes: readonly string[];
}

export interface SourceOptions extends PackageOptions {
  /** The output that is the network's, of an ONNX file that has several. */
  readonly output: string | null;
}

const HDF5 = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');

/**
 * Reads what is to be imported: an ONNX file; a network of Keras, as HDF5, or of TensorFlow.js, by its `model.json`; or a
 * package of BioImage.IO, as an archive, a folder or its description. What it is, its first bytes say.
 */
export async function readImportSource(path: string, options: SourceOptions): Promise<ImportSource> {
  const isFolder = (await stat(path)).isDirectory();
  if (isFolder || (await isZip(path))) return fromPackage(await openPackage(path), options);
  if (/\.ya?ml$/i.test(path)) return fromPackage(await openPackage(dirname(path)), options);
  if (/\.json$/i.test(path)) {
    const files = await openPackage(dirname(path));
    return { network: await tensorflowJsSource(files, basename(path)), card: {}, notes: [] };
  }
  if (await isHdf5(path)) {
    return { network: await kerasSource(await readFile(path), basename(path)), card: {}, notes: [] };
  }
  return { network: onnxSource(await readOnnxSource(path, options.output)), card: {}, notes: [] };
}

async function isHdf5(path: string): Promise<boolean> {
  const file = await open(path);
  try {
    const start = Buffer.alloc(HDF5.length);
    await file.read(start, 0, start.length, 0);
    return start.equals(HDF5);
  } finally {
    await file.close();
  }
}

async function fromPackage(files: PackageFiles, options: SourceOptions): Promise<ImportSource> {
  try {
    const card = await ownCard(files);
    return card === null
      ? await readPackage(files, options)
      : await fromOwnPackage(files, card, await readPackage(files, options));
  } finally {
    await files.close();
  }
}

/**
 * A package that a server like this one has exported: its card says all, and its bare network is imported. The graph that
 * mirrors is for other programs.
 */
async function fromOwnPackage(
  files: PackageFiles,
  card: Card,
  { test: _mirrored, check: _halo, ...content }: PackageContent,
): Promise<ImportSource> {
  const onnx = await files.read('network.onnx');
  const [image, expected] = [
    parseNpy(await files.read('test_input.npy'), 'test_input.npy'),
    parseNpy(await files.read('test_output.npy'), 'test_output.npy'),
  ];
  const { description, classes, channels, normalisation, micronsPerPixel, data, threshold, scores } = card;
  const side = image.shape[1] ?? 0;
  if (image.shape.length !== 4 || image.shape[2] !== side || image.shape[3] !== card.inputChannels) {
    throw new PackageError('test_input.npy is no image of the channels of its card');
  }
  return {
    ...content,
    network: onnxSource(onnx),
    channels: card.inputChannels,
    scores: 'probabilities',
    card: {
      ...{ description, classes, normalisation, micronsPerPixel, data, scores },
      ...(channels && { channels }),
      ...(threshold !== undefined && { threshold }),
    },
    async verifyServed(engine, model) {
      const found = await predictWholeImage(engine, model, asStored(image.data), {
        width: side,
        height: side,
      });
      return checkTest(found, expected.data);
    },
  };
}

/** Floats as values of the type that they were stored in: bytes, or words, where all of them are. */
function asStored(values: Float32Array): StoredPixels {
  if (!values.every((value) => Number.isInteger(value) && value >= 0)) return values;
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  if (most <= 255) return Uint8Array.from(values);
  return most <= 65535 ? Uint16Array.from(values) : values;
}
