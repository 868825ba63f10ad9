import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Precision } from '../devices/device.js';
import type { GpuFacts } from '../devices/environment.js';
import { DeviceUnavailableError } from '../errors.js';
import { kernelDriver } from './driver.js';
import { type DriverFunctions, driverFunctions } from './driver-functions.js';

/** Of `CUdevice_attribute`. */
const ATTRIBUTES = { computeCapabilityMajor: 75, computeCapabilityMinor: 76 } as const;
/** Compute capability from which GPUs have products of 19 bits: that of Ampere. */
const TF32_CAPABILITY = 8;
const GIB = 2 ** 30;

/** What NVIDIA's driver says of a GPU, and of itself. */
export interface NvidiaGpu {
  readonly gpu: GpuFacts;
  /** The newest CUDA that the driver has, such as `13.0`: its compiler, and so the last bits, may change with it. */
  readonly cuda: string;
}

/**
 * What NVIDIA's driver says of a GPU. `nvidia-smi` would say the same, but is missing in some containers, and numbers all
 * GPUs of the machine, whichever of them `CUDA_VISIBLE_DEVICES` selects.
 *
 * Cards of one model have equal facts. So their memory is stated to the nearest GiB: of two, one with a display has some
 * MB less.
 *
 * @param ordinal among the GPUs that CUDA lists to this process
 * @throws Error such as `CUDA failure 101: cuDeviceGet`
 */
export async function nvidiaGpu(
  ordinal: number,
  open: () => Promise<DriverFunctions> = driverFunctions,
): Promise<NvidiaGpu> {
  const driver = await started(open);
  const device = read32((value) => driver.cuDeviceGet(value, ordinal), 'cuDeviceGet');
  const name = Buffer.alloc(256);
  require0(driver.cuDeviceGetName(name, name.length, device), 'cuDeviceGetName');
  const memory = Buffer.alloc(8);
  require0(driver.cuDeviceTotalMem(memory, device), 'cuDeviceTotalMem');
  const attribute = (which: number) =>
    read32((value) => driver.cuDeviceGetAttribute(value, which, device), 'cuDeviceGetAttribute');
  const { computeCapabilityMajor, computeCapabilityMinor } = ATTRIBUTES;
  const version = read32((value) => driver.cuDriverGetVersion(value), 'cuDriverGetVersion');
  const cuda = `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;
  return {
    gpu: {
      name: name.toString('utf8', 0, name.indexOf(0)),
      // Windows, of which Linux is a guest, shows none of its kernel's.
      driver: kernelDriver() ?? `of CUDA ${cuda}`,
      memoryBytes: Math.round(Number(memory.readBigUInt64LE()) / GIB) * GIB,
      computeCapability: `${attribute(computeCapabilityMajor)}.${attribute(computeCapabilityMinor)}`,
    },
    cuda,
  };
}

/** @throws DeviceUnavailableError for `tf32` on a GPU that rounds to 32 bits whatever is asked of it */
export function requirePrecision(precision: Precision, { name, computeCapability = '' }: GpuFacts): void {
  if (precision !== 'tf32' || Number.parseFloat(computeCapability) >= TF32_CAPABILITY) return;
  throw new DeviceUnavailableError(
    `--precision tf32 is for GPUs from Ampere on; ${name} has compute capability ${computeCapability}`,
  );
}

/** The number of GPUs that CUDA lists to this process. @throws Error such as `CUDA failure 100: cuInit` */
export async function countGpus(open: () => Promise<DriverFunctions> = driverFunctions): Promise<number> {
  const driver = await started(open);
  return read32((value) => driver.cuDeviceGetCount(value), 'cuDeviceGetCount');
}

const COUNT_PROCESS = fileURLToPath(new URL('./count-process.js', import.meta.url));
const COUNT_MS = 10_000;

/**
 * The GPUs that CUDA lists; the first, which may not be there, where it lists none. A process of its own counts them: what
 * a driver that hangs or crashes takes down, or keeps, is that process, which is not waited for where it cannot be ended.
 */
export function nvidiaIndices(countProcess: string = COUNT_PROCESS, limitMs = COUNT_MS): Promise<number[]> {
  return new Promise((resolve) => {
    const settle = (count: number) => {
      clearTimeout(timer);
      resolve(Array.from({ length: Math.max(1, count) }, (_, index) => index));
    };
    const child = execFile(process.execPath, [countProcess], (error, stdout) =>
      settle(error ? 0 : Number(stdout)),
    );
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.unref();
      child.stdout?.destroy();
      child.stderr?.destroy();
      settle(0);
    }, limitMs);
  });
}

async function started(open: () => Promise<DriverFunctions>): Promise<DriverFunctions> {
  const driver = await open();
  require0(driver.cuInit(0), 'cuInit');
  return driver;
}

function read32(call: (value: Buffer) => number, name: string): number {
  const value = Buffer.alloc(4);
  require0(call(value), name);
  return value.readInt32LE();
}

/** @throws Error in the form of ONNX Runtime's own, which `cudaFailure` explains */
function require0(status: number, name: string): void {
  if (status !== 0) throw new Error(`CUDA failure ${status}: ${name}`);
}
