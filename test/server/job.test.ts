import { describe, expect, it } from 'vitest';
import type { JobSpec } from '../../server/job-spec.js';
import { EventLog } from '../../server/jobs/events.js';
import { JOB_STATES, type JobRecord, moved } from '../../server/jobs/job.js';
import { JobRunner } from '../../server/jobs/runner.js';
import type { Receipt } from '../../server/receipt.js';

describe('a job', () => {
  it('moves as it may, and not otherwise', () => {
    const legal = JOB_STATES.flatMap((from) =>
      JOB_STATES.filter((to) => {
        try {
          return moved({ id: 'x', state: from } as JobRecord, to).state === to;
        } catch {
          return false;
        }
      }).map((to) => `${from} ${to}`),
    );
    expect(legal).toEqual([
      'queued running',
      'queued paused',
      'queued failed',
      'queued cancelled',
      'running queued',
      'running paused',
      'running succeeded',
      'running failed',
      'running cancelled',
      'paused queued',
      'paused cancelled',
    ]);
  });
});

describe('the events of a job', () => {
  it('are kept so far back, and no further', () => {
    const log = new EventLog();
    for (let i = 0; i < 300; i++) log.add('progress', i);
    expect(log.after(299)).toEqual([{ id: 300, type: 'progress', data: 299 }]);
    expect(log.after(300)).toEqual([]);
    expect(log.after(44)!.length).toBe(256);
    for (const id of [43, 301, Number.NaN]) expect(log.after(id)).toBeNull();
  });
});

describe('the runner', () => {
  /** Jobs in the order in which they come to a worker that ends each when it is told to. */
  function worker() {
    const order: string[] = [];
    const ends = new Map<string, () => void>();
    return {
      order,
      ends,
      run: (job: JobSpec) => {
        order.push(job.id);
        return new Promise<Receipt>((resolve) => ends.set(job.id, () => resolve({} as Receipt)));
      },
    };
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  it('takes interactive jobs beside others, and normal ones before bulk', async () => {
    const device = worker();
    const runner = new JobRunner(device, 1);
    const { signal } = new AbortController();
    const listener = { onStage: () => {}, onProgress: () => {} };
    const submit = (id: string, priority: 'interactive' | 'normal' | 'bulk') =>
      runner.run({ id } as JobSpec, priority, signal, listener, async () => {});
    const all = [submit('bulk 1', 'bulk'), submit('bulk 2', 'bulk'), submit('normal', 'normal')];
    await settled();
    all.push(submit('interactive', 'interactive'));
    await settled();
    expect(device.order).toEqual(['bulk 1', 'interactive']);
    expect([runner.waiting('normal'), runner.waiting('bulk'), runner.waiting('interactive')]).toEqual([
      1, 1, 0,
    ]);
    for (const id of ['bulk 1', 'normal', 'interactive', 'bulk 2']) {
      device.ends.get(id)!();
      await settled();
      await settled();
    }
    await Promise.all(all);
    expect(device.order).toEqual(['bulk 1', 'interactive', 'normal', 'bulk 2']);
  });
});
