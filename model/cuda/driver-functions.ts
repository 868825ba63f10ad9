import { DRIVER_LIBRARY } from './driver.js';

/** What is called of NVIDIA's driver, as CUDA's `cuda.h` declares it: each returns 0 on success, and writes its result. */
export interface DriverFunctions {
  cuInit(flags: number): number;
  /** @param version 4 bytes: a thousand times the major version, and ten times the minor one */
  cuDriverGetVersion(version: Buffer): number;
  /** @param count 4 bytes */
  cuDeviceGetCount(count: Buffer): number;
  /**
   * @param device 4 bytes: a handle
   * @param ordinal among the GPUs that CUDA lists to this process
   */
  cuDeviceGet(device: Buffer, ordinal: number): number;
  /** @param name ends with a zero */
  cuDeviceGetName(name: Buffer, length: number, device: number): number;
  /** @param bytes 8 bytes */
  cuDeviceTotalMem(bytes: Buffer, device: number): number;
  /** @param value 4 bytes */
  cuDeviceGetAttribute(value: Buffer, attribute: number, device: number): number;
}

/**
 * The driver of this machine: in a process that computes with it, the library that is loaded already.
 * @throws where there is no driver, or one that lacks a function
 */
export async function driverFunctions(): Promise<DriverFunctions> {
  const { default: koffi } = await import('koffi');
  const driver = koffi.load(DRIVER_LIBRARY);
  return {
    cuInit: driver.func('int cuInit(unsigned int flags)'),
    cuDriverGetVersion: driver.func('int cuDriverGetVersion(void *version)'),
    cuDeviceGetCount: driver.func('int cuDeviceGetCount(void *count)'),
    cuDeviceGet: driver.func('int cuDeviceGet(void *device, int ordinal)'),
    cuDeviceGetName: driver.func('int cuDeviceGetName(void *name, int length, int device)'),
    // The function of the plain name is that of CUDA 3.1, with 32 bits.
    cuDeviceTotalMem: driver.func('int cuDeviceTotalMem_v2(void *bytes, int device)'),
    cuDeviceGetAttribute: driver.func('int cuDeviceGetAttribute(void *value, int attribute, int device)'),
  };
}
