import { describe, expect, it } from 'vitest';
import { DeviceLosses } from '../../../server/worker/device-losses.js';
import type { WorkerDevices, WorkerOptions } from '../../../server/worker/methods.js';

const devices = (failure: string | null) =>
  ({ devices: [{ name: 'cuda:0', environment: null, failure }], fallback: null }) as unknown as WorkerDevices;
const options = (provider: 'auto' | 'cuda'): WorkerOptions => {
  return { modelHost: { modelsDir: '', engine: { provider, threads: 1 } }, maxPixels: 1 };
};
const engineAfter = (losses: DeviceLosses, provider: 'auto' | 'cuda' = 'auto') =>
  losses.optionsOf(options(provider)).modelHost.engine;

describe('a GPU with which workers are lost', () => {
  it('is avoided by auto after the second in a row', () => {
    const losses = new DeviceLosses();
    losses.update(devices('it ended, and is started again'));
    losses.add(true);
    expect(engineAfter(losses)).not.toHaveProperty('avoidGpu');
    losses.add(true);
    expect(engineAfter(losses)).toMatchObject({ provider: 'auto', avoidGpu: 'cuda:0 failed repeatedly' });
  });

  it('is used where it was requested', () => {
    const losses = new DeviceLosses();
    losses.update(devices('it ended, and is started again'));
    losses.add(true);
    losses.add(true);
    expect(engineAfter(losses, 'cuda')).not.toHaveProperty('avoidGpu');
  });

  it('is used where they had computed for long, or the GPU was not lost', () => {
    const losses = new DeviceLosses();
    losses.update(devices('it ended, and is started again'));
    for (let i = 0; i < 5; i++) losses.add(false);
    losses.update(devices(null));
    for (let i = 0; i < 5; i++) losses.add(true);
    expect(engineAfter(losses)).not.toHaveProperty('avoidGpu');
  });
});
