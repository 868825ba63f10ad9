import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { onnxRuntimeCommit } from '../devices/onnx-package.js';
import { DeviceUnavailableError } from '../errors.js';
import { setUpCommand } from './libraries.js';

/** The file of a folder that is written last: what has none is not set up. */
export const MANIFEST = 'manifest.json';

/** What `unseam setup cuda` has laid down. */
export const manifestSchema = z.object({
  form: z.literal(1),
  /** What was asked for, as pip names it. */
  requirements: z.array(z.string()).readonly(),
  /** Commit that the wheel's ONNX Runtime is compiled of. */
  commit: z.string(),
  /** Versions of the packages. */
  packages: z.record(z.string(), z.string()),
  /** Every shared library: its path in the folder, and its size. */
  files: z.array(z.object({ path: z.string(), bytes: z.int() })),
});
export type Manifest = z.output<typeof manifestSchema>;

/** Whether `unseam setup cuda` was run for a folder: nothing of it is checked, so that it is cheap. */
export const isCudaSetUp = (folder: string): boolean => existsSync(join(folder, MANIFEST));

/**
 * The manifest of a folder whose files are all there, and of the same commit as npm's ONNX Runtime: a wrong pair reports
 * nothing but a device that is missing.
 *
 * @param bin folder of npm's libraries
 * @throws DeviceUnavailableError where CUDA is not set up, incomplete, or of another commit
 */
export async function requireManifest(folder: string, bin: string): Promise<Manifest> {
  const setup = `run: ${setUpCommand(folder)}`;
  if (!isCudaSetUp(folder)) {
    throw new DeviceUnavailableError(`CUDA is not set up: there is no "${join(folder, MANIFEST)}"; ${setup}`);
  }
  const manifest = await readManifest(folder);
  if (manifest === null) {
    throw new DeviceUnavailableError(`the set-up of CUDA in "${folder}" has a damaged ${MANIFEST}; ${setup}`);
  }
  for (const { path, bytes } of manifest.files) {
    const found = await stat(join(folder, path)).catch(() => null);
    if (found?.size === bytes) continue;
    const wrong = found ? `has ${found.size} bytes instead of ${bytes}` : 'is missing';
    throw new DeviceUnavailableError(
      `the set-up of CUDA in "${folder}" is damaged: ${path} ${wrong}; ${setup}`,
    );
  }
  const commit = await onnxRuntimeCommit(bin);
  if (commit !== manifest.commit) {
    throw new DeviceUnavailableError(
      `CUDA was set up for another ONNX Runtime: its libraries in "${folder}" are of commit ${manifest.commit}, ` +
        `onnxruntime-node is of commit ${commit ?? 'unknown'}; ${setup}`,
    );
  }
  return manifest;
}

async function readManifest(folder: string): Promise<Manifest | null> {
  try {
    return manifestSchema.parse(JSON.parse(await readFile(join(folder, MANIFEST), 'utf8')));
  } catch {
    return null;
  }
}
