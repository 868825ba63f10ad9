import { randomUUID } from 'node:crypto';
import { cudaFailure } from '../cuda/failure.js';
import { nvidiaGpu, requirePrecision } from '../cuda/gpu.js';
import { prepareCuda } from '../cuda/prepare.js';
import type { LaneData } from '../engine/engine-methods.js';
import { DeviceUnavailableError, graphError, OutOfMemoryError } from '../errors.js';
import type { Runtime } from '../runtime.js';
import { deviceName } from './device.js';
import { type Environment, environmentOf, type GpuFacts } from './environment.js';
import { requireWebGpuPlatform, webGpuAdapter, webGpuFailure } from './webgpu.js';

const UNIDENTIFIED: GpuFacts = { name: 'WebGPU adapter', driver: null, memoryBytes: null };

/**
 * Prepares the device of a lane, and has it compute something.
 * @returns everything about it that may change the bits of a result
 * @throws DeviceUnavailableError with what it lacks
 */
export async function openDevice(
  { provider, device, precision = 'fp32', tensorflow, cudaFolder, run = randomUUID() }: LaneData,
  runtime: Pick<Runtime, 'facts'>,
): Promise<Environment> {
  const open = async () => {
    const facts = await runtime.facts();
    const addon = tensorflow && { ...tensorflow, library: facts.tensorflow };
    return environmentOf(facts.provider, facts.channelBlock, addon ?? null);
  };
  if (provider === 'cpu') return open();
  try {
    if (provider === 'webgpu') {
      requireWebGpuPlatform();
      const environment = await open();
      const known = await webGpuAdapter();
      if (known) return { ...environment, gpu: { ...known, precision } };
      return { ...environment, gpu: { ...UNIDENTIFIED, precision }, run };
    }
    const { commit, packages } = await prepareCuda(requireFolder(cudaFolder));
    const { versions, ...environment } = await open();
    // Last: what calls the driver here is itself a library, and must not come before those of ONNX Runtime.
    const { gpu, cuda } = await nvidiaGpu(device);
    requirePrecision(precision, gpu);
    const libraries = { ...packages, 'onnxruntime-commit': commit, 'cuda-driver': cuda };
    return {
      ...environment,
      gpu: { ...gpu, precision },
      versions: { ...versions, ...libraries },
    };
  } catch (error) {
    const { message } = error as Error;
    throw new DeviceUnavailableError(
      `${deviceName(provider, device)}: ${failureOf({ provider, cudaFolder }, message)}`,
    );
  }
}

/**
 * Has an open device compute something again, after a graph has failed there: CUDA, once it has failed, fails whatever its
 * process computes. A device that has no memory at present is not broken.
 * @throws DeviceUnavailableError with what it fails with
 */
export async function retryDevice(lane: Failing, runtime: Pick<Runtime, 'facts'>): Promise<void> {
  try {
    await runtime.facts();
  } catch (error) {
    if (graphError('', error) instanceof OutOfMemoryError) return;
    throw new DeviceUnavailableError(failureOf(lane, (error as Error).message));
  }
}

interface Failing {
  readonly provider: LaneData['provider'];
  readonly cudaFolder?: string | undefined;
}

const failureOf = ({ provider, cudaFolder }: Failing, message: string): string =>
  provider === 'cuda' ? cudaFailure(message, cudaFolder) : webGpuFailure(message);

function requireFolder(cudaFolder: string | undefined): string {
  if (cudaFolder !== undefined) return cudaFolder;
  throw new DeviceUnavailableError('no folder has the CUDA libraries; name it by --cache-dir');
}
