import { cpus, release } from 'node:os';
import { DeviceUnavailableError } from '../errors.js';
import type { GpuFacts } from './environment.js';
import { nameOfPlatform, OWN_PLATFORM, type Platform } from './platform.js';
import { vulkanGpu } from './vulkan.js';

/** What to do where there is no adapter, by the system that has to have one. */
const CURES: Readonly<Record<string, string>> = {
  darwin: 'macOS shows none to some virtual machines',
  linux: "install the GPU's Vulkan driver, and the loader (Debian: libvulkan1; RHEL: vulkan-loader)",
  win32: "install the driver of the GPU's manufacturer, with Direct3D 12",
};

/** @throws DeviceUnavailableError where ONNX Runtime's npm package has no WebGPU */
export function requireWebGpuPlatform(own: Platform = OWN_PLATFORM): void {
  if (own.platform in CURES && (own.platform !== 'linux' || own.arch === 'x64')) return;
  const reason = `WebGPU needs macOS, Windows, or Linux on x64, and this machine is ${nameOfPlatform(own)}`;
  throw new DeviceUnavailableError(reason);
}

/** What an error of ONNX Runtime's WebGPU means for its reader. */
export function webGpuFailure(message: string, { platform }: Platform = OWN_PLATFORM): string {
  if (!/adapter|Vulkan/i.test(message)) return message;
  const cure = CURES[platform];
  return `the system has no WebGPU adapter${cure === undefined ? '' : `; ${cure}`}`;
}

/**
 * The adapter that WebGPU computes on, of which ONNX Runtime says nothing. Vulkan has one on Linux; on a Mac, the GPU is
 * part of the processor, and its driver of the system.
 * @returns null where it cannot be identified, as on Windows: there its driver, or another GPU, may replace it unnoticed
 */
export async function webGpuAdapter({ platform }: Platform = OWN_PLATFORM): Promise<GpuFacts | null> {
  if (platform === 'linux') return vulkanGpu();
  const name = cpus()[0]?.model;
  if (platform !== 'darwin' || !name) return null;
  return { name: `${name} GPU`, driver: `of Darwin ${release()}`, memoryBytes: null };
}
