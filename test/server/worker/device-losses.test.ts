import { describe, expect, it } from 'vitest';
import type { Provider } from '../../../model/devices/device.js';
import { DeviceKillerError, EngineLostError, RemoteError } from '../../../model/errors.js';
import { DeviceLosses } from '../../../server/worker/device-losses.js';
import type { WorkerDevices } from '../../../server/worker/methods.js';

/** A worker whose devices have started: a GPU, or the threads of its own process. */
function started(provider: Provider | 'auto', on: 'gpu' | 'threads') {
  const losses = new DeviceLosses({
    modelHost: { modelsDir: '', engine: { provider, threads: 1 } },
    maxPixels: 1,
  });
  const devices = on === 'gpu' ? [{ name: 'cuda:0', environment: null, failure: null }] : [];
  losses.update({ devices, fallback: null } as unknown as WorkerDevices);
  return losses;
}
const killer = new DeviceKillerError('a tile', new EngineLostError('the process of cuda:0 ended (SIGKILL)'));
const REASON = 'a device failed repeatedly with a tile: the process of cuda:0 ended (SIGKILL)';
const gone = new RemoteError('engine-lost', 'CUDA failure 100');
const nextEngine = (losses: DeviceLosses) => losses.nextOptions.modelHost.engine;

describe('the error of a call', () => {
  it('is its own where it says nothing of devices', () => {
    const losses = started('auto', 'gpu');
    expect(losses.lossBy(new RemoteError('corrupt-image', 'cut off'))).toBeNull();
    expect(nextEngine(losses)).not.toHaveProperty('avoidGpu');
  });

  it('is that of the devices where none is left', () => {
    expect(started('cuda', 'gpu').lossBy(gone)).toEqual({
      reason: 'CUDA failure 100',
      by: 'suspects',
    });
  });

  it('may be that of a job where the lost engine is threads of the worker', () => {
    expect(started('auto', 'threads').lossBy(gone)).toMatchObject({ by: 'any' });
  });
});

describe('a GPU that was lost with a tile, and again with it alone, or does not start again', () => {
  it.each([
    [killer, REASON],
    [gone, 'CUDA failure 100'],
  ])('is avoided by auto from then on: %s', (error, reason) => {
    const losses = started('auto', 'gpu');
    expect(losses.lossBy(error)).toEqual({ reason, by: 'gpu' });
    expect(nextEngine(losses)).toMatchObject({ provider: 'auto', avoidGpu: reason });
  });

  it('is used where it was requested: the tile is to blame', () => {
    const losses = started('cuda', 'gpu');
    expect(losses.lossBy(killer)).toBeNull();
    expect(nextEngine(losses)).not.toHaveProperty('avoidGpu');
  });
});
