import { describe, expect, it } from 'vitest';
import type { JobProgress } from '../../../server/contract/job-spec.js';
import { JobReporter } from '../../../server/worker/job-reporter.js';
import type { JobEvent } from '../../../server/worker/methods.js';

const progress = { tiles: 2, tilesDone: 1 } as JobProgress;

function reporter() {
  const events: JobEvent[] = [];
  return { reporter: new JobReporter((event) => events.push(event)), events };
}

describe('JobReporter', () => {
  it('reports a tile in one message, its stages in their order', () => {
    const { reporter: job, events } = reporter();
    job.stage('decode', 3);
    job.stage('infer', 5);
    job.progress(progress);
    job.progress(progress);
    const stages = [
      { stage: 'decode', durationMs: 3 },
      { stage: 'infer', durationMs: 5 },
    ];
    expect(events).toEqual([
      { type: 'progress', stages, progress },
      { type: 'progress', stages: [], progress },
    ]);
  });

  it('reports a band at once', () => {
    const { reporter: job, events } = reporter();
    job.stage('encode', 7);
    expect(events).toEqual([
      { type: 'progress', stages: [{ stage: 'encode', durationMs: 7 }], progress: null },
    ]);
  });

  it('holds the last band, which no tile follows, until it is flushed', () => {
    const { reporter: job, events } = reporter();
    job.progress({ ...progress, tilesDone: 2 });
    job.stage('encode', 7);
    job.stage('encode', 1);
    expect(events).toHaveLength(1);
    job.flush();
    const stages = [
      { stage: 'encode', durationMs: 7 },
      { stage: 'encode', durationMs: 1 },
    ];
    expect(events.slice(1)).toEqual([{ type: 'progress', stages, progress: null }]);
  });

  it('sends the stages that no tile follows when it is flushed, and no empty message', () => {
    const { reporter: job, events } = reporter();
    job.flush();
    job.stage('decode', 1);
    job.flush();
    expect(events).toEqual([
      { type: 'progress', stages: [{ stage: 'decode', durationMs: 1 }], progress: null },
    ]);
  });
});
