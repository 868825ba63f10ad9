import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { GpuFacts } from '../environment.js';
import { kernelDriver } from './driver.js';

const QUERY = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader,nounits'];
const TIMEOUT_MS = 10_000;

/**
 * What NVIDIA's driver says of a GPU, by its tool `nvidia-smi`.
 * @param index among those that the driver lists
 */
export async function nvidiaGpu(index: number): Promise<GpuFacts> {
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', [...QUERY, `--id=${index}`], {
      timeout: TIMEOUT_MS,
    });
    const [name = 'NVIDIA GPU', driver = null, mib] = stdout.trim().split(', ');
    return { name, driver, memoryBytes: Number(mib) * 2 ** 20 || null };
  } catch {
    return { name: 'NVIDIA GPU', driver: kernelDriver(), memoryBytes: null }; // the tool is not in every container
  }
}
