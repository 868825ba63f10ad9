import { open, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DeviceUnavailableError } from '../errors.js';
import { nameOfPlatform, OWN_PLATFORM, type Platform } from '../platform.js';

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

/** The folder of the npm package's libraries for this platform. */
export function onnxRuntimeFolder(): string {
  const packageJson = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  return join(dirname(packageJson), 'bin', 'napi-v6', 'linux', 'x64');
}

/** The commit that npm's library is compiled of; null where it states none. */
export const npmCommit = (bin: string): Promise<string | null> => commitIn(bin);

/** The commit that the wheel's library is compiled of; null where it states none. */
export const wheelCommit = (folder: string): Promise<string | null> => commitIn(join(folder, CAPI));

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

/** Finds ONNX Runtime's library in a folder, and its commit. Providers do not state theirs. */
async function commitIn(folder: string): Promise<string | null> {
  const name = (await readdir(folder)).find((file) => file.startsWith('libonnxruntime.so'));
  return name === undefined ? null : findText(join(folder, name), /git-commit-id=([0-9a-f]{7,40})/);
}

/** The first group of the first match in a binary file, which is read piece by piece. */
async function findText(path: string, pattern: RegExp): Promise<string | null> {
  const file = await open(path, 'r');
  try {
    let last = '';
    for await (const piece of file.createReadStream({ highWaterMark: 1 << 20, autoClose: false })) {
      const text = last + (piece as Buffer).toString('latin1');
      const found = pattern.exec(text)?.[1];
      if (found !== undefined) return found;
      last = text.slice(-100); // a match may begin at the end of a piece
    }
    return null;
  } finally {
    await file.close();
  }
}
