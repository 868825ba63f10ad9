import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  PRELOADED,
  PROVIDER_LIBRARIES,
  requireCudaPlatform,
  wheelCommit,
} from '../../model/cuda/libraries.js';
import { linkProviders } from '../../model/cuda/links.js';
import { MANIFEST, type Manifest, requireManifest } from '../../model/cuda/manifest.js';
import { onnxRuntimeCommit, onnxRuntimeFolder } from '../../model/devices/onnx-package.js';
import { RequestError } from '../contract/errors.js';
import { createFolder } from '../storage/draft-folder.js';
import { replaceFile } from '../storage/durable.js';
import { CUDA_WHEELS } from './cuda-packages.js';
import { installWheels, type PipRun } from './pip.js';
import { requireReplaceable } from './replaceable.js';
import { sizesOf } from './sizes.js';

/**
 * Lays down NVIDIA's libraries and ONNX Runtime's CUDA provider, and links the provider beside npm's ONNX Runtime. What is
 * complete, and of these versions, stays; another set-up in its place is replaced once its successor is complete.
 *
 * @param folder appears when it is complete
 * @returns whether anything was downloaded
 * @throws DeviceUnavailableError where there is no CUDA for this platform; RequestError `setup-failed`, `disk-full`;
 *   the signal's reason
 */
export async function setUpCuda(folder: string, run: PipRun): Promise<boolean> {
  requireCudaPlatform();
  const bin = onnxRuntimeFolder();
  if (await isComplete(folder, bin)) {
    await linkProviders(folder, bin);
    return false;
  }
  await requireReplaceable(folder, MANIFEST);
  await createFolder(folder, async (draft) => {
    await installWheels(CUDA_WHEELS, draft, run);
    const manifest = await describe(draft, bin);
    await replaceFile(join(draft, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
    await rm(folder, { recursive: true, force: true });
  });
  await requireManifest(folder, bin); // where the name was taken, by another set-up at the same time
  await linkProviders(folder, bin);
  return true;
}

/** Whether a folder has all that would be laid down, of the same versions. */
const isComplete = (folder: string, bin: string): Promise<boolean> =>
  requireManifest(folder, bin).then(
    ({ requirements }) => isDeepStrictEqual(requirements, CUDA_WHEELS.requirements),
    () => false,
  );

/**
 * The manifest of freshly installed wheels.
 * @throws RequestError `setup-failed` where they lack a library, or are of another commit than npm's ONNX Runtime
 */
async function describe(draft: string, bin: string): Promise<Manifest> {
  const names = await readdir(draft, { recursive: true });
  const lacking = [...PRELOADED, ...PROVIDER_LIBRARIES].find((path) => !names.includes(path));
  if (lacking !== undefined) {
    throw new RequestError(
      'setup-failed',
      `the downloaded packages lack ${lacking}; try again, or report it`,
    );
  }
  const packages = packagesOf(names);
  const [wheel, npm] = [await wheelCommit(draft), await onnxRuntimeCommit(bin)];
  if (wheel === null || wheel !== npm) {
    throw new RequestError(
      'setup-failed',
      `onnxruntime-gpu ${packages['onnxruntime-gpu'] ?? ''} is of ONNX Runtime's commit ${wheel ?? 'unknown'}, ` +
        `but onnxruntime-node of commit ${npm ?? 'unknown'}; install the onnxruntime-node that unseam requires (npm ci)`,
    );
  }
  const libraries = names.filter((name) => /\.so(\.\d+)*$/.test(name)).sort();
  const files = await sizesOf(draft, libraries);
  return { form: 1, requirements: CUDA_WHEELS.requirements, commit: wheel, packages, files };
}

/** The versions of installed packages, by the folders that state them: `nvidia_cublas-13.0.2.14.dist-info`. */
function packagesOf(names: readonly string[]): Record<string, string> {
  const found = names
    .map((name) => /^([^/]+)-([^/-]+)\.dist-info$/.exec(name))
    .filter((match) => match !== null);
  return Object.fromEntries(found.map(([, name, version]) => [name!.replaceAll('_', '-'), version!]).sort());
}
