import { constants } from 'node:os';
import { RTLD_NODELETE } from '../devices/dlopen-flags.js';
import { DeviceUnavailableError } from '../errors.js';
import { DRIVER_LIBRARY, noDriver } from './driver.js';

/** Loads NVIDIA's driver into this process. @throws DeviceUnavailableError */
export function loadDriver(): void {
  const error = load(DRIVER_LIBRARY);
  if (error === null) return;
  throw new DeviceUnavailableError(
    error.includes('cannot open shared object file')
      ? noDriver()
      : `NVIDIA's driver cannot be loaded: ${error}; install it again, ${DRIVER_LIBRARY} included`,
  );
}

/**
 * Loads a library into this process, whose symbols and name later ones find: so none of them has to be where the system
 * looks.
 *
 * @returns the system's message where it cannot be loaded; null on success
 */
export function load(path: string): string | null {
  try {
    const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
    process.dlopen({ exports: {} }, path, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
    return null;
  } catch (error) {
    const { message } = error as Error;
    // Node expects an addon, and says so when it has loaded a library that is none.
    return message.includes('did not self-register') ? null : message;
  }
}
