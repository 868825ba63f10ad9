import { stat } from 'node:fs/promises';
import { createRequire, Module } from 'node:module';
import { constants } from 'node:os';
import { join } from 'node:path';

import tf = require('@tensorflow/tfjs-core');
import util = require('node:util');

import { RTLD_NODELETE } from '../devices/dlopen-flags.js';
import { DeviceUnavailableError } from '../errors.js';
import { SHARED_PACKAGES, setUpCommand, type TensorFlowInstallation } from './installation.js';

/** The name of the backend that the addon's kernels are registered for. */
export const BACKEND = 'tensorflow';

/** The part of the addon's binary that is used here; its backend calls the rest. */
interface Binary {
  /** Of TensorFlow. */
  readonly TF_Version: string;
}

interface AddonBackend extends tf.KernelBackend {
  readonly isUsingGpuDevice: boolean;
}

/** TensorFlow as this thread's TensorFlow.js uses it. */
export interface BoundTensorFlow {
  /** Of TensorFlow. */
  readonly version: string;
  /** Whether it computes on a GPU. */
  readonly isGpu: boolean;
}

/**
 * Loads the addon, registers its kernels and its backend with this thread's TensorFlow.js, and selects it. To be called
 * once a thread.
 *
 * The addon's own entry would load a second TensorFlow.js, whose tensors and kernels ours does not know, and several
 * backends that are not needed. So its files are loaded one by one, and find our core under the names of those packages.
 *
 * @throws DeviceUnavailableError where it cannot be loaded
 */
export async function bindTensorFlow({
  folder,
  name,
  binary,
  setUp,
}: TensorFlowInstallation): Promise<BoundTensorFlow> {
  try {
    if (setUp) await requireWhole(setUp);
    const require = createRequire(join(folder, 'package.json'));
    for (const name of SHARED_PACKAGES) share(require, name);
    replaceDeprecated();
    require('./dist/register_all_kernels.js');
    const { NodeJSKernelBackend } = require('./dist/nodejs_kernel_backend.js') as {
      readonly NodeJSKernelBackend: new (binary: Binary, name: string) => AddonBackend;
    };
    const loaded = loadBinary(binary);
    const backend = new NodeJSKernelBackend(loaded, name);
    tf.registerBackend(BACKEND, () => backend);
    await tf.setBackend(BACKEND);
    return { version: loaded.TF_Version, isGpu: backend.isUsingGpuDevice };
  } catch (cause) {
    throw new DeviceUnavailableError(
      `TensorFlow in ${setUp?.folder ?? folder} cannot be loaded: ${(cause as Error).message}; ` +
        (setUp ? `run "${setUpCommand(setUp.folder)}" again` : `install ${name} again`),
      { cause },
    );
  }
}

/** @throws Error for a file that is missing or cut off: loading it would end the process by a fault */
async function requireWhole({ folder, files }: NonNullable<TensorFlowInstallation['setUp']>): Promise<void> {
  for (const { path, bytes } of files) {
    const found = await stat(join(folder, path)).catch(() => null);
    if (found === null) throw new Error(`${path} is missing`);
    if (found.size !== bytes) throw new Error(`${path} has ${found.size} bytes instead of ${bytes}`);
  }
}

/** Unloaded with its lane, TensorFlow would end the process by a fault, where it has not computed anything yet. */
function loadBinary(path: string): Binary {
  const addon = { exports: {} };
  process.dlopen(addon, path, constants.dlopen.RTLD_LAZY | RTLD_NODELETE);
  return addon.exports as Binary;
}

/** Has a package's module be our core, for all that import it from the addon's folder. */
function share(require: NodeJS.Require, name: string): void {
  const path = require.resolve(name);
  const shared = new Module(path);
  shared.exports = tf;
  shared.loaded = true;
  require.cache[path] = shared;
}

/** The addon calls functions of Node that are removed in 23, or warn that they will be; this thread gets their like. */
function replaceDeprecated(): void {
  const names = util as unknown as Record<string, (value: unknown) => boolean>;
  names.isNullOrUndefined = (value) => value === null || value === undefined;
  names.isArray = Array.isArray;
}
