import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { createMetrics } from '../../../server/metrics/metrics.js';
import { ProcessMeter } from '../../../server/metrics/process-meter.js';
import { childrenOf, OwnUse, useOf } from '../../../server/metrics/process-use.js';

const use = (cpuSeconds: number) => ({ residentBytes: 100, cpuSeconds, eventLoop: null });

it('adds up what the processes of a kind take, and keeps the time of those that have ended', async () => {
  const metrics = createMetrics({});
  const meter = new ProcessMeter(metrics);
  const workers = async () => {
    const values = await Promise.all(
      [metrics.processes, metrics.processMemory, metrics.processCpu].map((metric) => metric.get()),
    );
    return values.map((all) => all.values.find(({ labels }) => labels.process === 'worker')?.value);
  };
  expect(await workers()).toEqual([0, 0, 0]);
  meter.update('worker', new Map([[7, use(2)]]));
  meter.update('worker', new Map([[7, use(5)], [8, use(1)]])); // biome-ignore format: one process more
  expect(await workers()).toEqual([2, 200, 6]);
  meter.update('worker', new Map([[8, use(1)]]));
  expect(await workers()).toEqual([1, 100, 6]);
  meter.update('worker', new Map([[8, use(0.5)]])); // another process with the id of one that has ended
  expect(await workers()).toEqual([1, 100, 6.5]);
});

it.runIf(existsSync('/proc/self/stat'))('measures other processes as they measure themselves', async () => {
  const own = new OwnUse().measure();
  const seen = await useOf(process.pid);
  expect(seen!.cpuSeconds).toBeCloseTo(own.cpuSeconds, 0);
  expect(seen!.residentBytes / own.residentBytes).toBeCloseTo(1, 1);
});

it.runIf(existsSync('/proc/self/stat'))('finds the children of a process, while there are any', async () => {
  const child = spawn('sleep', ['60']);
  expect(await childrenOf(process.pid)).toContain(child.pid);
  child.kill();
  await once(child, 'exit');
  expect(await useOf(child.pid!)).toBeNull();
  expect(await childrenOf(child.pid!)).toEqual([]);
});
