import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EngineRequest } from '../../../model/engine/open-engine.js';
import type { JobView } from '../../../server/contract/schemas/job.js';
import type { RunningServer } from '../../../server/serve.js';
import { causeFault, ON_FAKE_MACHINE } from '../../support/fake-machine.js';
import type { DeviceFault } from '../../support/faulty-device.js';
import { testFolder } from '../../support/files.js';
import { testServer, unseam, unseamHere } from '../../support/product.js';

const folder = await testFolder();
let image: Uint8Array<ArrayBuffer>;
let expected: Buffer;
let server: RunningServer | null = null;
let count = 0;

beforeAll(async () => {
  process.env.NODE_OPTIONS = ON_FAKE_MACHINE;
  await unseamHere(['samples', '-o', folder, '-n', '1', '-s', '600x500']);
  const path = join(folder, 'images', 'shapes-0001.png');
  const mask = join(folder, 'expected.tif');
  const { code } = await unseam(['segment', path, '-m', 'shapes', '--tile', 'whole', '-o', mask]);
  expect(code).toBe(0);
  [image, expected] = [new Uint8Array(await readFile(path)), await readFile(mask)];
});
afterEach(async () => {
  await server?.close();
  server = null;
});

/** A server on CPU devices of one thread each, of which one may fail. */
const start = (devices: readonly number[], fault: DeviceFault | null) =>
  startOn({ provider: 'cpu', threads: 1, devices }, fault);

/** A server on the GPU of this machine, which may fail, or on a thread of the CPU. */
async function startOnAuto(fault: DeviceFault | null): Promise<RunningServer> {
  const cudaFolder = join(folder, 'cuda');
  await mkdir(cudaFolder, { recursive: true });
  await writeFile(join(cudaFolder, 'manifest.json'), '');
  return startOn({ provider: 'auto', threads: 1, cudaFolder }, fault);
}

async function startOn(engine: EngineRequest, fault: DeviceFault | null): Promise<RunningServer> {
  causeFault(fault);
  server = await testServer(join(folder, `data-${count++}`), {
    engine,
    worker: { batchMs: 2000, batchFactor: 1 },
  });
  const { url, failed } = server;
  while ((await fetch(`${url}/readyz`)).status !== 200) await Promise.race([failed, delay(50)]);
  return server;
}

/** A job of many tiles: how it ended, and its mask. */
async function segment({ url }: RunningServer, tile = 124): Promise<{ job: JobView; mask: Buffer }> {
  const created = await fetch(`${url}/v1/jobs?model=shapes&tile=${tile}`, { method: 'POST', body: image });
  const { id } = (await created.json()) as JobView;
  await (await fetch(`${url}/v1/jobs/${id}/events`)).text();
  const job = (await (await fetch(`${url}/v1/jobs/${id}`)).json()) as JobView;
  const result = await fetch(`${url}/v1/jobs/${id}/result?output=labels&format=tiff`);
  return { job, mask: Buffer.from(await result.arrayBuffer()) };
}
const ready = async ({ url }: RunningServer) => (await fetch(`${url}/readyz`)).text();

describe('a server on two devices', () => {
  it('computes a slide on both, to the same mask', async () => {
    const own = await start([0, 1], null);
    const { job, mask } = await segment(own);
    expect(job.receipt).toMatchObject({
      exact: true,
      compute: { lanes: 2, threads: 1 },
      device: expect.stringMatching(/^cpu:0, cpu:1 \(1 thread each\): /),
    });
    expect(mask.equals(expected)).toBe(true);
    expect(await ready(own)).toMatch(
      /^ok\ncpu:0: ok \(.+, fp32\)\ncpu:1: ok \(.+, fp32\)\nunseam .+\nshapes labels: exact\n/,
    );
    const metrics = await (await fetch(`${own.url}/metrics`)).text();
    const busy = /^unseam_engine_busy_seconds_total\{device="cpu:(\d)"\} ([\d.]+)$/gm;
    const seconds = [...metrics.matchAll(busy)].map(([, device, value]) => [device, Number(value) > 0]);
    expect(seconds.sort()).toEqual([
      ['0', true],
      ['1', true],
    ]);
    expect(metrics).toMatch(
      /^unseam_device_info\{device="cpu:1",name="[^"]+",driver="",precision="fp32"\} 1$/m,
    );
    expect(metrics).toContain('unseam_device_up{device="cpu:1"} 1\n');
    const graph = 'model="shapes",output="labels",symmetries="0",threshold="0"';
    expect(metrics).toContain(`unseam_tiling_exact{${graph}} 1\n`);
    expect(metrics).toContain(`unseam_tiling_largest_difference{${graph}} 0\n`);
  });

  it.each(['exit', 'hang'] as const)('loses no job when one fails in a batch: %s', async (how) => {
    const once = join(folder, how);
    const own = await start([0, 1], { device: 1, how, batch: 10, once });
    const { job, mask } = await segment(own, 108);
    expect(existsSync(once)).toBe(true);
    expect([job.state, job.restarts]).toEqual(['succeeded', 0]);
    expect(mask.equals(expected)).toBe(true);
  });

  it('leaves one alone whose process cannot even be ended', async () => {
    const once = join(folder, 'stuck');
    const own = await start([0, 1], { device: 1, how: 'stuck', batch: 10, once });
    try {
      const { job, mask } = await segment(own, 108);
      expect([job.state, job.restarts]).toEqual(['succeeded', 0]);
      expect(mask.equals(expected)).toBe(true);
      await expect
        .poll(() => ready(own), { timeout: 20_000 })
        .toContain('\ncpu:1: its process cannot be ended: the driver waits for the device\n');
    } finally {
      process.kill(Number(await readFile(once, 'utf8')), 'SIGKILL');
    }
  });

  it('does not start without one of them', async () => {
    await expect(start([0, 1], { device: 1, how: 'start' })).rejects.toMatchObject({
      code: 'device-unavailable',
      message: 'the process of cpu:1 ended (exit code 3)',
    });
  });
});

describe('a server on one device', () => {
  it('waits for it when it fails, and loses no job', async () => {
    const once = join(folder, 'alone');
    const own = await start([0], { device: 0, how: 'exit', batch: 10, once });
    const { job, mask } = await segment(own, 108);
    expect(existsSync(once)).toBe(true);
    expect([job.state, job.restarts]).toEqual(['succeeded', 0]);
    expect(mask.equals(expected)).toBe(true);
  });

  it('fails the job of a tile with which it is lost, and no other', async () => {
    const own = await start([0], { device: 0, how: 'exit', width: 380 });
    const [large, small] = await Promise.all([segment(own, 380), segment(own)]);
    expect(large.job).toMatchObject({
      state: 'failed',
      restarts: 0,
      error: {
        code: 'device-killer',
        detail: 'a device failed repeatedly with a tile: the process of cpu:0 ended (SIGKILL)',
      },
    });
    expect([small.job.state, small.job.restarts]).toEqual(['succeeded', 0]);
    expect(small.mask.equals(expected)).toBe(true);
  });
});

describe('a server on automatic devices', () => {
  const onCpu = /^cpu \(1 thread\): /;

  it('computes on the GPU, also after a crash of the worker, whose device is still busy', async () => {
    const own = await startOnAuto(null);
    const { job, mask } = await segment(own);
    expect(job.receipt).toMatchObject({ device: 'cuda:0: Fake GPU, fp32' });
    expect(mask.equals(expected)).toBe(true);
    const once = join(folder, 'busy');
    causeFault({ device: 0, how: 'start', once });
    process.kill(own.workerPid()!, 'SIGKILL');
    const later = await segment(own, 108);
    expect(existsSync(once)).toBe(true);
    expect(later.job.receipt).toMatchObject({ device: 'cuda:0: Fake GPU, fp32' });
    expect(later.mask.equals(expected)).toBe(true);
  });

  it('goes on with the CPU where the GPU does not start', async () => {
    const own = await startOnAuto({ device: 0, how: 'start' });
    const { job, mask } = await segment(own);
    expect(job.receipt).toMatchObject({ device: expect.stringMatching(onCpu) });
    expect(mask.equals(expected)).toBe(true);
    expect(await ready(own)).toContain('\nno GPU is used: the process of cuda:0 ended (exit code 3)\n');
  });

  it.each([
    ['exit', 'a device failed repeatedly with a tile: the process of cuda:0 ended (SIGKILL)'],
    [
      'break',
      'a device failed repeatedly with a tile: cuda:0: it computes nothing any more (CUDA failure 700: an illegal memory access was encountered)',
    ],
  ] as const)('goes on with the CPU where the GPU starts, but not computes: %s', async (how, reason) => {
    const own = await startOnAuto({ device: 0, how, width: 124 });
    const jobs = await Promise.all([segment(own), segment(own)]);
    for (const { job, mask } of jobs) {
      expect(job).toMatchObject({ state: 'succeeded', receipt: { device: expect.stringMatching(onCpu) } });
      expect(mask.equals(expected)).toBe(true);
    }
    expect(await ready(own)).toContain(`\nno GPU is used: ${reason}\n`);
    const later = await segment(own);
    expect([later.job.state, later.job.restarts]).toEqual(['succeeded', 0]);
  });
});
