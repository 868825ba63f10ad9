import { createFolder } from '../storage/draft-folder.js';
import { CUDA_WHEELS } from './cuda-packages.js';
import { installWheels, type PipRun } from './pip.js';

/**
 * Installs what NVIDIA's devices need.
 * @param folder appears when it is complete
 * @throws RequestError `setup-failed`, `disk-full`; the signal's reason
 */
export async function setUpCuda(folder: string, run: PipRun): Promise<void> {
  await createFolder(folder, (draft) => installWheels(CUDA_WHEELS, draft, run));
}
