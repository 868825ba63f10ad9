import { pino } from 'pino';
import { beforeEach, describe, expect, it } from 'vitest';
import { environmentOf } from '../../../model/devices/environment.js';
import type { EngineRequest } from '../../../model/engine/open-engine.js';
import { createMetrics } from '../../../server/metrics/metrics.js';
import { setDeviceMetrics, setTilingMetrics } from '../../../server/worker/device-metrics.js';
import { KnownDevices } from '../../../server/worker/known-devices.js';

const environment = {
  ...environmentOf('cuda', null),
  gpu: { name: 'NVIDIA H200', driver: '580.65.06', memoryBytes: 150e9, precision: 'fp16' },
} as const;
const works = { name: 'cuda:0', environment, failure: null };
const lost = { name: 'cuda:1', environment, failure: 'it ended, and is started again' };

/** What a server knows of which these engines were requested. */
const known = (requested: Partial<EngineRequest>): KnownDevices =>
  new KnownDevices(null, pino({ level: 'silent' }), { provider: 'auto', ...requested });

let devices: KnownDevices;
beforeEach(() => {
  devices = known({});
});

/** The samples of a metric after devices are set, without its name. */
async function samples(name: string): Promise<string[]> {
  const metrics = createMetrics({});
  setDeviceMetrics(metrics, devices);
  const text = await metrics.registry.getSingleMetricAsString(name);
  return text
    .split('\n')
    .filter((line) => line.startsWith(name))
    .map((line) => line.slice(name.length));
}

describe('the devices that a server knows', () => {
  it('are none before a worker has started', async () => {
    expect([devices.lines, devices.accounts]).toEqual([[], []]);
    expect(await samples('unseam_device_up')).toEqual([]);
  });

  it('are named with their drivers, and with what is wrong', async () => {
    devices.update({ environment, devices: [works, lost], fallback: null });
    expect(devices.lines.slice(0, 2)).toEqual([
      'cuda:0: ok (NVIDIA H200, driver 580.65.06, fp16, 150.0 GB)',
      'cuda:1: it ended, and is started again',
    ]);
    expect(devices.unready).toBeNull();
    expect(await samples('unseam_device_up')).toEqual(['{device="cuda:0"} 1', '{device="cuda:1"} 0']);
    expect(await samples('unseam_device_info')).toContain(
      '{device="cuda:0",name="NVIDIA H200",driver="580.65.06",precision="fp16"} 1',
    );
    expect(await samples('unseam_device_memory_bytes')).toContain('{device="cuda:0"} 150000000000');
  });

  it('are named with what they do not use of what was requested', () => {
    const requested = { precision: 'fp16', cpuOptions: ['--threads 4', '--lanes 2'] } as const;
    devices = known(requested);
    devices.update({ environment, devices: [works], fallback: null });
    expect(devices.lines[1]).toBe('not used: --threads 4 and --lanes 2: for the CPU, and a GPU is used');
    devices.update({ environment: environmentOf('cpu', 16), devices: [], fallback: 'there is no driver' });
    expect(devices.lines.slice(0, 3)).toEqual([
      expect.stringMatching(/^cpu: ok \(.+, fp32\)$/),
      'no GPU is used: there is no driver',
      'not used: the CPU computes in fp32, not in fp16',
    ]);
    devices = known({ ...requested, provider: 'cuda' });
    devices.update({ environment, devices: [works], fallback: null });
    expect(devices.lines[1]).toMatch(/^unseam /);
  });

  it('are named with the libraries and models that they use, until their worker is lost', async () => {
    devices.update({ environment, devices: [works], fallback: null });
    const tested = { model: 'shapes', output: 'labels', threshold: false } as const;
    devices.test({ ...tested, symmetries: false, exact: true, largestDifference: 0 });
    devices.test({ ...tested, symmetries: true, exact: false, largestDifference: 1.26e-7 });
    devices.choose({ model: 'shapes', tile: 692, lanes: 2, threads: 1, pixelsPerSecond: 2.65e6 });
    const [, libraries, ...models] = devices.lines;
    expect(libraries).toMatch(/^unseam .+, onnxruntime-node 1\.30\.0/);
    expect(models).toEqual([
      'shapes labels with tta: within 1.3e-7',
      'shapes labels: exact',
      'shapes: 692 px, 2 lanes of 1 thread, 2.65 Mpx/s',
    ]);
    expect(await samples('unseam_library_info')).toContain('{name="onnxruntime-node",version="1.30.0"} 1');
    devices.lose();
    expect(devices.lines).toHaveLength(2);
  });

  it('say which of them were lost, once', () => {
    expect(devices.update({ environment, devices: [works, works], fallback: null })).toEqual([]);
    const oneLost = { environment, devices: [works, lost], fallback: null };
    expect([devices.update(oneLost), devices.update(oneLost)]).toEqual([['cuda:1'], []]);
    expect(devices.unready).toBeNull();
    devices.update({ environment, devices: [lost, lost], fallback: null });
    expect(devices.unready).toBe('no device computes at present');
  });

  it('compute nothing while there is no worker', async () => {
    devices.update({ environment, devices: [works], fallback: null });
    devices.lose();
    expect(devices.lines[0]).toBe('cuda:0: its worker process is started again');
    expect(await samples('unseam_device_up')).toEqual(['{device="cuda:0"} 0']);
    devices.update({ environment, devices: [works], fallback: null });
    expect(await samples('unseam_device_up')).toEqual(['{device="cuda:0"} 1']);
  });

  it('are the CPU, and why, where auto finds no GPU', async () => {
    const cpu = environmentOf('cpu', 8);
    devices.update({ environment: cpu, devices: [], fallback: 'CUDA is not set up' });
    expect(devices.lines.slice(0, 2)).toEqual([
      `cpu: ok (${cpu.cpu}, fp32)`,
      'no GPU is used: CUDA is not set up',
    ]);
    expect(await samples('unseam_device_up')).toEqual(['{device="cpu"} 1']);
    expect(await samples('unseam_device_memory_bytes')).toEqual([]);
  });
});

it('metrics state the outcome of a test of tiles', async () => {
  const metrics = createMetrics({});
  const graph = { model: 'shapes', output: 'labels', symmetries: true, threshold: false } as const;
  setTilingMetrics(metrics, { ...graph, exact: false, largestDifference: 3e-7 });
  const text = await metrics.registry.metrics();
  const labels = '{model="shapes",output="labels",symmetries="1",threshold="0"}';
  expect(text).toContain(`unseam_tiling_exact${labels} 0\n`);
  expect(text).toContain(`unseam_tiling_largest_difference${labels} 3e-7\n`);
});
