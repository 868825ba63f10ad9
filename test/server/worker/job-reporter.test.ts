import { describe, expect, it } from 'vitest';
import type { JobProgress } from '../../../server/contract/schemas/job.js';
import { JobReporter } from '../../../server/worker/job-reporter.js';
import type { JobEvent } from '../../../server/worker/methods.js';

const progress = { tiles: 2, tilesDone: 1 } as JobProgress;

/** A reporter with what it sent, and `elapse`, which ends the interval that it collects in. */
function reporter() {
  const events: JobEvent[] = [];
  let pending: (() => void) | null = null;
  const after = (_delayMs: number, callback: () => void) => {
    pending = callback;
    return () => {
      pending = null;
    };
  };
  const elapse = () => pending?.();
  return { reporter: new JobReporter((event) => events.push(event), { after }), events, elapse };
}

/** A reporter that has reported the start. */
function started() {
  const all = reporter();
  all.reporter.progress({ ...progress, tilesDone: 0 });
  all.events.length = 0;
  return all;
}

describe('JobReporter', () => {
  it('reports the start at once', () => {
    const { reporter: job, events } = reporter();
    const start = { ...progress, tilesDone: 0 };
    job.stage('decode', 3, 9);
    job.progress(start);
    expect(events).toEqual([
      { type: 'progress', stages: [{ stage: 'decode', durationMs: 3, endedAtMs: 9 }], progress: start },
    ]);
  });

  it('reports the tiles of an interval in one message, their stages in their order', () => {
    const { reporter: job, events, elapse } = started();
    job.stage('decode', 3, 9);
    job.progress({ ...progress, tilesDone: 0 });
    job.stage('infer', 5, 9);
    job.progress(progress);
    expect(events).toEqual([]);
    elapse();
    const stages = [
      { stage: 'decode', durationMs: 3, endedAtMs: 9 },
      { stage: 'infer', durationMs: 5, endedAtMs: 9 },
    ];
    expect(events).toEqual([{ type: 'progress', stages, progress }]);
    elapse(); // nothing is pending
    job.progress({ ...progress, tilesDone: 2 });
    elapse();
    expect(events.slice(1)).toEqual([
      { type: 'progress', stages: [], progress: { ...progress, tilesDone: 2 } },
    ]);
  });

  it('reports a band at once, with the tiles before it', () => {
    const { reporter: job, events, elapse } = started();
    job.progress(progress);
    job.stage('encode', 7, 9);
    expect(events).toEqual([
      { type: 'progress', stages: [{ stage: 'encode', durationMs: 7, endedAtMs: 9 }], progress },
    ]);
    elapse();
    expect(events).toHaveLength(1);
  });

  it('holds the last band, which no tile follows, until it is flushed', () => {
    const { reporter: job, events } = started();
    const complete = { ...progress, tilesDone: 2 };
    job.progress(complete);
    job.stage('encode', 7, 9);
    job.stage('encode', 1, 9);
    expect(events).toEqual([]);
    job.flush();
    const stages = [
      { stage: 'encode', durationMs: 7, endedAtMs: 9 },
      { stage: 'encode', durationMs: 1, endedAtMs: 9 },
    ];
    expect(events).toEqual([{ type: 'progress', stages, progress: complete }]);
  });

  it('sends the stages that no tile follows when it is flushed, and no empty message', () => {
    const { reporter: job, events } = reporter();
    job.flush();
    job.stage('decode', 1, 9);
    job.flush();
    expect(events).toEqual([
      { type: 'progress', stages: [{ stage: 'decode', durationMs: 1, endedAtMs: 9 }], progress: null },
    ]);
  });
});
