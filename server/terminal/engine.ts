import type { Engine } from '../../model/engine.js';
import { openEngine } from '../../model/open-engine.js';
import { type DeviceFlags, type EngineFlags, engineOf } from './options.js';

/**
 * Starts the engine that a command's flags describe.
 * @param log called with why there is no GPU, where `--device auto` was requested
 * @throws as `engineOf`; DeviceUnavailableError where none of the devices works
 */
export async function openEngineOf(
  flags: Omit<EngineFlags, 'models'>,
  log: (line: string) => void,
): Promise<Engine> {
  const { engine, fallback } = await openEngine(engineOf(flags));
  sayFallback(flags, fallback, log);
  return engine;
}

/** Says why there is no GPU, where `--device auto` was requested: the default is silent. */
export function sayFallback(
  { device }: DeviceFlags,
  fallback: string | null,
  log: (line: string) => void,
): void {
  if (device === 'auto' && fallback !== null) log(`no GPU is used: ${fallback}`);
}
