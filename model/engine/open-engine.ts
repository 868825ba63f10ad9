import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { noDriver } from '../cuda/driver.js';
import { reasonAgainstPlatform } from '../cuda/libraries.js';
import { isCudaSetUp } from '../cuda/manifest.js';
import type { Provider } from '../devices/device.js';
import { OWN_PLATFORM, type Platform } from '../devices/platform.js';
import { Engine, type EngineOptions } from './engine.js';

/** An engine as it is requested: `auto` is the first NVIDIA GPU where it works, and else the CPU. */
export interface EngineRequest extends Omit<EngineOptions, 'provider'> {
  readonly provider: Provider | 'auto';
  /**
   * What is requested of the CPU alone, as a person names it, such as `--lanes 2`: a GPU that `auto` finds does not use it
   * (`unusedText` says so). Default nothing.
   */
  readonly cpuOptions?: readonly string[];
  /** Why `auto` is to be no GPU, such as one that has failed repeatedly. Default: it may be one. */
  readonly avoidGpu?: string;
  /**
   * Whether `auto` had a GPU in this run: one that does not start may still be releasing what an earlier process had, and is
   * tried again for `RETRY_MS`. Default false.
   */
  readonly hadGpu?: boolean;
}

export interface OpenedEngine {
  readonly engine: Engine;
  /** Why `auto` is no GPU; null where it is one, or was not requested. */
  readonly fallback: string | null;
}

/** How long a GPU that has started before is tried again, and the first pause, which is doubled after each; in ms. */
const RETRY_MS = { until: 8000, first: 500 } as const;

/** What a machine with NVIDIA's driver has: its devices, as Linux, and Linux within Windows, name them. */
const DRIVER_FILES = ['/proc/driver/nvidia/version', '/dev/nvidiactl', '/dev/dxg'];

/**
 * Starts an engine on the requested devices.
 * @throws DeviceUnavailableError (by `code`) where none of them works; never for `auto`
 */
export async function openEngine({
  provider,
  avoidGpu,
  hadGpu = false,
  ...request
}: EngineRequest): Promise<OpenedEngine> {
  const { cpuOptions: _, ...options } = { run: randomUUID(), ...request };
  if (provider !== 'auto') return { engine: await Engine.open({ ...options, provider }), fallback: null };
  const { lanes: __, ...ofDevice } = options;
  let fallback = avoidGpu ?? reasonAgainstCuda(options.cudaFolder);
  if (fallback === null) {
    const open = () => Engine.open({ ...ofDevice, provider: 'cuda', devices: [0], threads: 1 });
    try {
      return { engine: await (hadGpu ? retried(open) : open()), fallback: null };
    } catch (error) {
      fallback = (error as Error).message;
    }
  }
  const { precision: ___, ...onCpu } = options;
  return { engine: await Engine.open({ ...onCpu, provider: 'cpu' }), fallback };
}

/** Opens a GPU, and again where that fails within `RETRY_MS`. */
async function retried(open: () => Promise<Engine>): Promise<Engine> {
  const until = performance.now() + RETRY_MS.until;
  for (let pauseMs: number = RETRY_MS.first; ; pauseMs *= 2) {
    try {
      return await open();
    } catch (error) {
      if (performance.now() + pauseMs > until) throw error;
      await delay(pauseMs);
    }
  }
}

/** Why CUDA need not be tried, as far as the platform and the file system show; null where it may work. */
export function reasonAgainstCuda(folder: string | undefined, own: Platform = OWN_PLATFORM): string | null {
  const reason = reasonAgainstPlatform(own);
  if (reason !== null) return reason;
  if (!DRIVER_FILES.some((path) => existsSync(path))) return noDriver();
  if (folder === undefined || !isCudaSetUp(folder)) return 'CUDA is not set up: run unseam setup cuda';
  return null;
}
