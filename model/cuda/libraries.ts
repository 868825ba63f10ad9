import { dirname, join } from 'node:path';
import { onnxRuntimeCommit } from '../devices/onnx-package.js';
import { nameOfPlatform, OWN_PLATFORM, type Platform } from '../devices/platform.js';
import { DeviceUnavailableError } from '../errors.js';

/**
 * What is loaded before ONNX Runtime's CUDA provider, in this order, since each needs those before it, and none is where
 * the system looks. The compiler's built-in functions are among them, for it looks for them nowhere else either. cuDNN
 * finds its other parts beside it.
 */
export const PRELOADED = [
  'nvidia/cu13/lib/libcudart.so.13',
  'nvidia/cu13/lib/libcublasLt.so.13',
  'nvidia/cu13/lib/libcublas.so.13',
  'nvidia/cu13/lib/libcurand.so.10',
  'nvidia/cu13/lib/libnvrtc-builtins.so.13.0',
  'nvidia/cu13/lib/libnvrtc.so.13',
  'nvidia/cudnn/lib/libcudnn.so.9',
] as const;

/** The folder of the wheel's own libraries. */
const CAPI = 'onnxruntime/capi';

/** ONNX Runtime looks for these beside its own library. */
export const PROVIDER_LIBRARIES = [
  `${CAPI}/libonnxruntime_providers_shared.so`,
  `${CAPI}/libonnxruntime_providers_cuda.so`,
] as const;

/** The commit that the wheel's library is compiled of; null where it states none. */
export const wheelCommit = (folder: string): Promise<string | null> => onnxRuntimeCommit(join(folder, CAPI));

/** The command that lays down the libraries of a folder, where they are missing or damaged. */
export const setUpCommand = (folder: string | undefined): string =>
  folder === undefined ? 'unseam setup cuda' : `unseam setup cuda --cache-dir ${dirname(folder)}`;

/** Why there is no CUDA on a platform, whatever is installed there; null where there may be. */
export function reasonAgainstPlatform(own: Platform = OWN_PLATFORM): string | null {
  if (own.platform === 'linux' && own.arch === 'x64') return null;
  return `CUDA needs Linux on x64, and this machine is ${nameOfPlatform(own)}`;
}

/** @throws DeviceUnavailableError where NVIDIA's libraries do not exist */
export function requireCudaPlatform(own: Platform = OWN_PLATFORM): void {
  const reason = reasonAgainstPlatform(own);
  if (reason !== null) throw new DeviceUnavailableError(reason);
}
