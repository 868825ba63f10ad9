import { cudaFailure } from './cuda/failure.js';
import { nvidiaGpu } from './cuda/gpu.js';
import { prepareCuda } from './cuda/prepare.js';
import { deviceName, type Provider } from './device.js';
import type { LaneData } from './engine-methods.js';
import { type Environment, environmentOf } from './environment.js';
import { DeviceUnavailableError } from './errors.js';
import type { Runtime } from './runtime.js';
import { vulkanGpu } from './vulkan.js';

/**
 * Prepares the device of a lane, and has it compute something.
 * @returns everything about it that may change the bits of a result
 * @throws DeviceUnavailableError with what it lacks
 */
export async function openDevice(
  { provider, device, precision = 'fp32', tensorflow, cudaFolder }: LaneData,
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
      const environment = await open();
      const known = (await vulkanGpu()) ?? { name: 'WebGPU adapter', driver: null, memoryBytes: null };
      return { ...environment, gpu: { ...known, precision } };
    }
    const { commit, packages } = await prepareCuda(requireFolder(cudaFolder));
    const { versions, ...environment } = await open();
    // Last: what calls the driver here is itself a library, and must not come before those of ONNX Runtime.
    const { gpu, cuda } = await nvidiaGpu(device);
    const libraries = { ...packages, 'onnxruntime-commit': commit, 'cuda-driver': cuda };
    return {
      ...environment,
      gpu: { ...gpu, precision },
      versions: { ...versions, ...libraries },
    };
  } catch (error) {
    const { message } = error as Error;
    throw new DeviceUnavailableError(`${deviceName(provider, device)}: ${meaningOf(provider, message)}`);
  }
}

function requireFolder(cudaFolder: string | undefined): string {
  if (cudaFolder !== undefined) return cudaFolder;
  throw new DeviceUnavailableError('no folder has the CUDA libraries; name it by --cache-dir');
}

/** An error of ONNX Runtime in the terms of its reader. */
function meaningOf(provider: Provider, message: string): string {
  if (provider === 'cuda') return cudaFailure(message);
  return /adapter|Vulkan/i.test(message)
    ? "the system has no WebGPU adapter; install the GPU's Vulkan driver and Debian's libvulkan1"
    : message;
}
