import { withoutName } from '../../model/devices/device.js';
import type { Engine } from '../../model/engine/engine.js';
import type { DeviceState } from '../../model/engine/lanes.js';
import { openEngine } from '../../model/engine/open-engine.js';
import { unusedText } from '../pipeline/device-text.js';
import type { CpuFlags, DeviceFlags, EngineFlags } from './options.js';
import { cpuOptionsOf, engineOf } from './requested-engine.js';

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
 * Says what is not used of what was requested, and why: named devices, `--device auto`, or an option that what it has
 * chosen does not have. Where none was requested, the CPU is no news.
 */
export function sayUnused(
  flags: DeviceFlags & CpuFlags,
  { fallback, devices }: { readonly fallback: string | null; readonly devices: readonly DeviceState[] },
  log: (line: string) => void,
): void {
  const { device = null, precision } = flags;
  const isAuto = device === null || device === 'auto';
  const unused = isAuto
    ? unusedText({ precision, cpuOptions: cpuOptionsOf(flags) }, fallback === null)
    : null;
  if (fallback !== null && (device === 'auto' || unused !== null)) {
    log(['no GPU is used: ', fallback, ...(unused === null ? [] : ['; ', unused])].join(''));
  } else if (unused !== null) log(`not used: ${unused}`);
  for (const { name, failure } of devices) {
    if (failure !== null) log(`${name} is not used: ${withoutName(name, failure)}`);
  }
}
