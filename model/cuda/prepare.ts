import { join } from 'node:path';
import { onnxRuntimeFolder } from '../devices/onnx-package.js';
import { DeviceUnavailableError } from '../errors.js';
import { PRELOADED, requireCudaPlatform, setUpCommand } from './libraries.js';
import { linkProviders } from './links.js';
import { type Manifest, requireManifest } from './manifest.js';
import { load, loadDriver } from './preload.js';

/**
 * Prepares this process for ONNX Runtime's provider `cuda`, before its first session with it: checks what
 * `unseam setup cuda` has laid down, links the provider beside ONNX Runtime, and loads what it needs, so that no
 * `LD_LIBRARY_PATH` is needed. Each thread may do this; a process keeps what it has loaded. Takes about half a second
 * where the libraries are on the disk, and little where they are cached.
 *
 * @param folder of the set-up, `cuda/` in the cache folder
 * @param bin folder of npm's libraries. Default that of this installation
 * @returns what is set up
 * @throws DeviceUnavailableError where CUDA is not set up, incomplete or of another commit, and where there is no driver
 */
export async function prepareCuda(folder: string, bin: string = onnxRuntimeFolder()): Promise<Manifest> {
  requireCudaPlatform();
  const manifest = await requireManifest(folder, bin);
  await linkProviders(folder, bin);
  loadDriver();
  for (const path of PRELOADED) {
    const error = load(join(folder, path));
    if (error === null) continue;
    throw new DeviceUnavailableError(
      `a library of CUDA cannot be loaded: ${error}; run: ${setUpCommand(folder)}`,
    );
  }
  return manifest;
}
