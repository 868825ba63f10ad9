import type { Engine } from '../../model/engine.js';
import type { DeviceState } from '../../model/lanes.js';
import { openEngine } from '../../model/open-engine.js';
import { type DeviceFlags, type EngineFlags, engineOf } from './options.js';

/**
 * Starts the engine that a command's flags describe.
 * @param log called with what is not used of what was requested, and why
 * @throws as `engineOf`; DeviceUnavailableError where none of the devices works
 */
export async function openEngineOf(
  flags: Omit<EngineFlags, 'models'>,
  log: (line: string) => void,
): Promise<Engine> {
  const { engine, fallback } = await openEngine(engineOf(flags));
  sayUnused(flags, { fallback, devices: engine.devices }, log);
  return engine;
}

/**
 * Says what is not used of what was requested, and why: named devices, `--device auto`, or a precision that only GPUs have.
 * Where none was requested, the CPU is no news.
 */
export function sayUnused(
  { device, precision }: DeviceFlags,
  { fallback, devices }: { readonly fallback: string | null; readonly devices: readonly DeviceState[] },
  log: (line: string) => void,
): void {
  const onCpu = precision === 'fp32' ? '' : `; the CPU computes in fp32, not in ${precision}`;
  if (fallback !== null && (device === 'auto' || onCpu !== '')) log(`no GPU is used: ${fallback}${onCpu}`);
  for (const { name, failure } of devices) {
    if (failure !== null) log(`${name} is not used: ${failure.replace(`${name}: `, '')}`);
  }
}
