import { describe, expect, it, vi } from 'vitest';
import { openDevice, retryDevice } from '../../../model/devices/open-device.js';

/** A GPU that computes, and that nothing identifies. */
async function unidentified(run?: string) {
  vi.stubEnv('VK_ICD_FILENAMES', '/nowhere.json'); // whatever this machine has, Vulkan has no driver
  const facts = async () => ({ provider: 'webgpu', channelBlock: null, tensorflow: null });
  const data = {
    provider: 'webgpu',
    threads: 1,
    lane: 0,
    device: 0,
    ...(run !== undefined && { run }),
  } as const;
  try {
    return await openDevice(data, { facts });
  } finally {
    vi.unstubAllEnvs();
  }
}

describe.skipIf(`${process.platform} ${process.arch}` !== 'linux x64')(
  'a GPU that nothing identifies',
  () => {
    it('is one device in one run, and another one in the next', async () => {
      const [first, again, next] = [
        await unidentified('1'),
        await unidentified('1'),
        await unidentified('2'),
      ];
      expect(first.gpu).toMatchObject({ name: 'WebGPU adapter', driver: null, precision: 'fp32' });
      expect(again).toEqual(first);
      expect(next).not.toEqual(first);
    });

    it('is a run of its own where none is named', async () => {
      expect(await unidentified()).not.toEqual(await unidentified());
    });
  },
);

describe('a GPU that is tried again', () => {
  const retry = (message?: string) =>
    retryDevice(
      { provider: 'cuda' },
      {
        facts: async () => {
          if (message !== undefined) throw new Error(message);
          return { provider: 'cuda', channelBlock: null, tensorflow: null };
        },
      },
    );

  it('is broken where it computes nothing', async () => {
    await expect(retry()).resolves.toBeUndefined();
    await expect(
      retry('CUDA failure 700: an illegal memory access was encountered ; GPU=0'),
    ).rejects.toMatchObject({
      code: 'device-unavailable',
      message: 'CUDA failure 700: an illegal memory access was encountered',
    });
  });

  it('is not where others have its memory at present', async () => {
    await expect(retry('CUDA failure 2: out of memory ; GPU=0')).resolves.toBeUndefined();
  });
});
