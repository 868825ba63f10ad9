import { describe, expect, it, vi } from 'vitest';
import { openDevice } from '../../model/open-device.js';

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
