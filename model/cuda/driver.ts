import { readFileSync } from 'node:fs';

/** The oldest driver that CUDA 13 runs on, as NVIDIA names its branches. */
export const OLDEST_DRIVER = 'R580';
const OLDEST_VERSION = Number(OLDEST_DRIVER.slice(1));

/** The library of NVIDIA's driver, which comes with the driver and is where the system looks. */
export const DRIVER_LIBRARY = 'libcuda.so.1';

/** NVIDIA's driver in the kernel, such as `580.65.06`; null where there is none. A container sees that of its machine. */
export function kernelDriver(): string | null {
  try {
    const text = readFileSync('/proc/driver/nvidia/version', 'utf8');
    return /Kernel Module(?: for \S+)?\s+([\d.]+)/.exec(text)?.[1] ?? null;
  } catch {
    return null; // no such file
  }
}

/** What to do where the driver is too old; null where it is not, or is not known. */
export const oldDriver = (kernel: string | null = kernelDriver()): string | null =>
  kernel !== null && Number.parseInt(kernel, 10) < OLDEST_VERSION ? tooOld(kernel) : null;

/** What to do where a driver has turned out to be too old. */
export const tooOld = (kernel: string | null = kernelDriver()): string =>
  `NVIDIA's driver${kernel === null ? '' : ` ${kernel}`} is too old for CUDA 13; update it to ${OLDEST_DRIVER} or later`;

/** What to do where there is no driver, by whether the machine has one that this container is not given. */
export function noDriver(kernel: string | null = kernelDriver()): string {
  return kernel === null
    ? `this machine has no NVIDIA driver (${DRIVER_LIBRARY} is not found); install NVIDIA's driver ${OLDEST_DRIVER} or later`
    : `NVIDIA's driver ${kernel} of this machine is not in this container (${DRIVER_LIBRARY} is not found); ` +
        'start it with --gpus all and NVIDIA_DRIVER_CAPABILITIES=compute,utility';
}
