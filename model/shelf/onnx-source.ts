import { closeSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { OnnxFileError } from '../errors.js';
import { packOnnx } from '../imported/pack-onnx.js';

/**
 * Reads an ONNX file as one that needs no others, with one output: weights in files beside it become part of it.
 * @param output of several; null for all of them
 * @throws OnnxFileError where it is missing, or names files that are missing or outside of its folder
 * @throws ModelChoiceError for an output that it does not have
 */
export async function readOnnxSource(path: string, output: string | null = null): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new OnnxFileError(`${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const folder = realpathSync(dirname(path));
  return packOnnx(bytes, output, (location, offset, length) => readPart(folder, location, offset, length));
}

/** A part of a file in a folder. @throws OnnxFileError for one that leaves it, or is shorter than is claimed */
function readPart(folder: string, location: string, offset: number, length: number): Uint8Array {
  const refuse = (reason: string): never => {
    throw new OnnxFileError(`its weights are in "${location}", ${reason}`);
  };
  const path = join(folder, location);
  const isInside = (each: string) =>
    !relative(folder, each).startsWith('..') && !isAbsolute(relative(folder, each));
  if (location === '' || isAbsolute(location) || location.split(/[\\/]/).includes('..') || !isInside(path)) {
    return refuse('which is outside of its folder');
  }
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isFile()) return refuse('which is missing');
  if (!realpathSync(path).startsWith(folder + sep)) return refuse('which leads out of its folder');
  if (offset + length > stats.size) {
    return refuse(`of which it claims ${length} bytes from ${offset} on, and there are ${stats.size}`);
  }
  const part = new Uint8Array(length);
  const file = openSync(path, 'r');
  try {
    for (let at = 0; at < length; ) {
      const read = readSync(file, part, at, Math.min(length - at, 2 ** 30), offset + at);
      if (read === 0) return refuse('which became shorter');
      at += read;
    }
  } finally {
    closeSync(file);
  }
  return part;
}
