import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { kernelDriver } from '../../../model/cuda/driver.js';
import type { DriverFunctions } from '../../../model/cuda/driver-functions.js';
import { cudaFailure } from '../../../model/cuda/failure.js';
import { countGpus, nvidiaGpu, nvidiaIndices, requirePrecision } from '../../../model/cuda/gpu.js';
import { testFolder } from '../../support/files.js';

interface Card {
  readonly name: string;
  readonly bytes: number;
  readonly capability: readonly [number, number];
}
const A100: Card = { name: 'NVIDIA A100-SXM4-40GB', bytes: 42_297_786_368, capability: [8, 0] };
const T4: Card = { name: 'Tesla T4', bytes: 15_828_320_256, capability: [7, 5] };

/** NVIDIA's driver, with the cards that `CUDA_VISIBLE_DEVICES` leaves to this process. */
function driver(...cards: Card[]) {
  const write = (value: Buffer, number: number) => {
    value.writeInt32LE(number);
    return 0;
  };
  const functions: DriverFunctions = {
    cuInit: () => (cards.length === 0 ? 100 : 0),
    cuDriverGetVersion: (version) => write(version, 13_010),
    cuDeviceGetCount: (count) => write(count, cards.length),
    // handles need not be ordinals
    cuDeviceGet: (device, ordinal) => (ordinal < cards.length ? write(device, ordinal + 5) : 101),
    cuDeviceGetName: (name, length, device) => {
      name.fill(0xff);
      name.write(`${cards[device - 5]!.name}\0`, 0, length);
      return 0;
    },
    cuDeviceTotalMem: (bytes, device) => {
      bytes.writeBigUInt64LE(BigInt(cards[device - 5]!.bytes));
      return 0;
    },
    cuDeviceGetAttribute: (value, attribute, device) =>
      write(value, cards[device - 5]!.capability[attribute - 75]!),
  };
  return async () => functions;
}

describe("a GPU of NVIDIA's", () => {
  it('is what the driver says of it', async () => {
    expect(await nvidiaGpu(1, driver(A100, T4))).toEqual({
      gpu: {
        name: 'Tesla T4',
        driver: kernelDriver() ?? 'of CUDA 13.1',
        memoryBytes: 15 * 2 ** 30,
        computeCapability: '7.5',
      },
      cuda: '13.1',
    });
  });

  it('is like another card of its model, one of which has a display', async () => {
    const cards = driver(A100, { ...A100, bytes: A100.bytes - 8 * 2 ** 20 }, T4);
    expect(await nvidiaGpu(1, cards)).toEqual(await nvidiaGpu(0, cards));
    expect(await nvidiaGpu(2, cards)).not.toEqual(await nvidiaGpu(0, cards));
  });

  it('is refused for a precision that it does not have', async () => {
    const cards = driver(A100, T4);
    const [{ gpu: a100 }, { gpu: t4 }] = [await nvidiaGpu(0, cards), await nvidiaGpu(1, cards)];
    expect(() => requirePrecision('tf32', a100)).not.toThrow();
    expect(() => requirePrecision('fp16', t4)).not.toThrow();
    expect(() => requirePrecision('tf32', t4)).toThrow(
      '--precision tf32 is for GPUs from Ampere on; Tesla T4 has compute capability 7.5',
    );
  });

  it('is refused in the terms of its reader where there is none of this number', async () => {
    const error = await nvidiaGpu(2, driver(A100, T4)).catch((e) => e);
    expect(cudaFailure(error.message)).toMatch(/^there is no GPU of this number/);
    const none = await countGpus(driver()).catch((e) => e);
    expect(cudaFailure(none.message)).toMatch(/^NVIDIA's driver finds no GPU/);
  });
});

it('GPUs are counted as CUDA lists them; where it lists none, the first is there to be tried', async () => {
  expect(await countGpus(driver(A100, T4))).toBe(2);
  const processOf = async (script: string) => {
    const path = join(await testFolder(), 'count.js');
    await writeFile(path, script);
    return path;
  };
  expect(await nvidiaIndices(await processOf('console.log(2)'))).toEqual([0, 1]);
  expect(await nvidiaIndices(await processOf('console.log(0)'))).toEqual([0]);
  expect(await nvidiaIndices(await processOf('process.exit(1)'))).toEqual([0]);
  // One whose output stays open when it is killed, as that of a process that a driver keeps.
  const kept = `require('child_process').spawn('sleep', ['20'], { stdio: 'inherit' }); setInterval(() => {}, 1000);`;
  const started = performance.now();
  expect(await nvidiaIndices(await processOf(kept), 500)).toEqual([0]);
  expect(performance.now() - started).toBeLessThan(15_000);
});
