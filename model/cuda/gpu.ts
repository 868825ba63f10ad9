import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { GpuFacts } from '../environment.js';
import { kernelDriver } from './driver.js';

const QUERY = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader,nounits'];
const TIMEOUT_MS = 10_000;

/** The GPUs that NVIDIA's driver lists; the first, which may not be there, where its tool `nvidia-smi` is not. */
export async function nvidiaIndices(): Promise<number[]> {
  try {
    const { stdout } = await ask(['--query-gpu=index', '--format=csv,noheader']);
    const indices = stdout.split('\n').filter((line) => /^\d+$/.test(line.trim()));
    return indices.length === 0 ? [0] : indices.map(Number);
  } catch {
    return [0];
  }
}

/**
 * What NVIDIA's driver says of a GPU, by its tool `nvidia-smi`.
 * @param index among those that the driver lists
 */
export async function nvidiaGpu(index: number): Promise<GpuFacts> {
  try {
    const { stdout } = await ask([...QUERY, `--id=${index}`]);
    const [name = 'NVIDIA GPU', driver = null, mib] = stdout.trim().split(', ');
    return { name, driver, memoryBytes: Number(mib) * 2 ** 20 || null };
  } catch {
    return { name: 'NVIDIA GPU', driver: kernelDriver(), memoryBytes: null }; // the tool is not in every container
  }
}

const ask = (args: readonly string[]) => promisify(execFile)('nvidia-smi', args, { timeout: TIMEOUT_MS });
