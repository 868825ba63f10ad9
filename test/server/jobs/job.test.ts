import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { JobSpec } from '../../../server/contract/job-spec.js';
import type { Receipt } from '../../../server/contract/receipt.js';
import { JOB_STATES } from '../../../server/contract/schemas/job.js';
import { EventLog } from '../../../server/jobs/events.js';
import { type JobRecord, transition } from '../../../server/jobs/job.js';
import { Jobs, type JobsOptions } from '../../../server/jobs/jobs.js';
import { JobRunner } from '../../../server/jobs/runner.js';
import { jobView } from '../../../server/jobs/view.js';
import { createMetrics } from '../../../server/metrics/metrics.js';
import type { JobListener } from '../../../server/worker/client.js';

describe('a job', () => {
  it('allows only valid state transitions', () => {
    const legal = JOB_STATES.flatMap((from) =>
      JOB_STATES.filter((to) => {
        try {
          return transition({ id: 'x', state: from } as JobRecord, to).state === to;
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
  it('are buffered up to a limit; the oldest are dropped', () => {
    const log = new EventLog();
    for (let i = 0; i < 300; i++) log.add('progress', i);
    expect(log.after(299)).toEqual([{ id: 300, type: 'progress', data: 299 }]);
    expect(log.after(300)).toEqual([]);
    expect(log.after(44)!.length).toBe(256);
    for (const id of [43, 301, Number.NaN]) expect(log.after(id)).toBeNull();
  });
});

describe('the runner', () => {
  /** A worker whose jobs are ended by hand, with the order in which it received them. */
  function worker() {
    const order: string[] = [];
    const ends = new Map<string, () => void>();
    return {
      order,
      ends,
      hold: () => () => {},
      run: (job: JobSpec) => {
        order.push(job.id);
        return new Promise<Receipt>((resolve) => ends.set(job.id, () => resolve({} as Receipt)));
      },
    };
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  it('runs interactive jobs alongside others, and normal ones before bulk', async () => {
    const device = worker();
    const runner = new JobRunner(device, 1);
    const { signal } = new AbortController();
    const strikeBook = { strikes: 0, isSuspect: false, save: async () => {} };
    const submit = (id: string, priority: 'interactive' | 'normal' | 'bulk') =>
      runner.run({ id, priority } as JobSpec, {
        signal,
        strikeBook,
        onStart: async () => {},
        onStage: () => {},
        onProgress: () => {},
      });
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

describe('the server', () => {
  /** Jobs with a minimal worker and store. */
  function jobs(
    record: Partial<JobRecord>,
    outcome: () => Promise<unknown> = () => new Promise(() => {}),
    retryMs: readonly number[] = [],
    others: readonly Partial<JobRecord>[] = [],
  ) {
    let nowMs = 1000;
    let listener: JobListener | undefined;
    const written: JobRecord[] = [];
    const stored = {
      id: 'x',
      priority: 'normal',
      createdAt: '',
      request: { model: 'shapes/1', outputs: [] },
    };
    const image = { kind: 'upload', name: null, bytes: 1 };
    const size = { width: 1, height: 1 };
    const full = {
      ...stored,
      source: image,
      image: size,
      startedAt: null,
      finishedAt: null,
      ...record,
    } as JobRecord;
    const metrics = createMetrics({});
    const options = {
      store: {
        folder: () => '',
        write: async (each: JobRecord) => void written.push(each),
        end: async (each: JobRecord) => void written.push(each),
      },
      worker: {
        hold: () => () => {},
        run: (_: JobSpec, given: JobListener) => {
          listener = given;
          return outcome();
        },
      },
      readers: { evict: async () => {} },
      metrics,
      log: pino({ level: 'silent' }),
      concurrency: 1,
      limits: { places: { interactive: 9, normal: 9, bulk: 9 }, ownerJobs: null, ownerPixels: null },
      keepMs: 1e9,
      now: () => nowMs,
      recovery: { retryMs, probeMs: { first: 1e9, last: 1e9 } },
    } as unknown as JobsOptions;
    const records = [full, ...others.map((other) => ({ ...full, ...other }))];
    const all = new Jobs(options, { records, unreadable: [] });
    const progress = (pixelsComputed: number, pixelsDone: number) =>
      listener!.onProgress({
        tiles: 10,
        tilesDone: 1,
        tilesReplayed: 0,
        tilesSkipped: 0,
        tilesConstant: 0,
        tilesIdentical: 0,
        pixels: 1000,
        pixelsDone,
        pixelsComputed,
        haloAndPixels: pixelsComputed,
        planes: 1,
        planesDone: 0,
      });
    return {
      all,
      metrics,
      written,
      progress,
      pass: (ms: number) => {
        nowMs += ms;
      },
    };
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve));

  it('estimates the remaining time from the point of resumption', async () => {
    const { all, progress, pass } = jobs({ state: 'queued', strikes: 0 });
    await settled();
    progress(0, 0);
    pass(1000);
    progress(100, 100);
    expect(all.live('x')).toMatchObject({ pixelsPerSecond: 100, secondsLeft: 9 });
    pass(59_000); // the worker exits; the next one starts after the journaled bands
    progress(0, 100);
    pass(1000);
    progress(100, 200);
    expect(all.live('x')).toMatchObject({ pixelsPerSecond: 100, secondsLeft: 8 });
  });

  it('counts what jobs have waited for their first start in earlier servers, and nothing else', async () => {
    const at = (ms: number) => new Date(ms).toISOString();
    const waiting = { state: 'queued', strikes: 0 } as const;
    const { all, metrics, pass } = jobs(
      { ...waiting, createdAt: at(-2000) },
      undefined,
      [],
      [
        { ...waiting, id: 'began', createdAt: at(-1500), startedAt: at(-1400) },
        { ...waiting, id: 'waits', createdAt: at(-1000) },
        { ...waiting, id: 'other', createdAt: at(-500), priority: 'bulk' },
      ],
    );
    const ages = async () => {
      all.gauge();
      const { values } = await metrics.queueAge.get();
      return Object.fromEntries(values.map(({ labels, value }) => [labels.class, value]));
    };
    await settled();
    expect(await ages()).toEqual({
      interactive: 0,
      normal: expect.closeTo(2, 0),
      bulk: expect.closeTo(1.5, 0),
    });
    pass(1000); // what follows is measured by a clock that is never set back
    expect(await ages()).toMatchObject({ normal: expect.closeTo(2, 0) });
    const { values } = await metrics.jobWait.get();
    expect(values.find(({ metricName }) => metricName?.endsWith('_sum'))?.value).toBe(3);
    expect(values.find(({ metricName }) => metricName?.endsWith('_count'))?.value).toBe(1);
  });

  it('persists a strike before it reruns a job during which a server crashed', async () => {
    const { written } = jobs({ state: 'running', strikes: 1 });
    for (let i = 0; i < 5; i++) await settled();
    expect(written.map(({ state, strikes }) => [state, strikes])).toEqual([
      ['running', 1],
      ['running', 2],
    ]);
  });

  it.each([
    ['paused', 'disk-full'],
    ['paused', 'storage-failed'],
    ['paused', 'source-unreachable'],
    ['paused', 'too-many-files'],
    ['failed', 'corrupt-image'],
  ])('leaves a job %s that ends with %s', async (state, code) => {
    const { all, written } = jobs({ state: 'queued', strikes: 0 }, () =>
      Promise.reject(Object.assign(new Error(code), { code })),
    );
    for (let i = 0; i < 20; i++) await settled();
    expect(written.at(-1)?.state).toBe(state);
    await all.close();
  });

  it('shows why and when a job is retried', async () => {
    const { all, written } = jobs(
      { state: 'queued', strikes: 0 },
      () => Promise.reject(Object.assign(new Error('nobody answers'), { code: 'source-unreachable' })),
      [60_000],
    );
    for (let i = 0; i < 20; i++) await settled();
    expect(written.at(-1)?.state).toBe('queued');
    expect(all.live('x').retry).toEqual({
      code: 'source-unreachable',
      detail: 'nobody answers',
      at: new Date(61_000).toISOString(),
    });
    await all.close();
  });

  it('shows the host and path of a URL, never its credentials', () => {
    const url = 'https://user:word@images.lab:8000/a/slide.tif?X-Amz-Signature=abc#part';
    const record = {
      id: 'x',
      source: { kind: 'url', url },
      request: { outputs: [] },
    } as unknown as JobRecord;
    const view = jobView(record, { progress: null, pixelsPerSecond: null, secondsLeft: null, retry: null });
    expect(view.source).toEqual({ kind: 'url', url: 'https://images.lab:8000/a/slide.tif' });
  });
});
