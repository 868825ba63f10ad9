import { expect, it } from 'vitest';
import { JobMemory } from '../../../server/pipeline/job-memory.js';

const never = new AbortController().signal;

/** Jobs of 40 bytes that share another 20, in 100 bytes. */
function jobsIn(bytes = 100) {
  const taken: number[] = [];
  const memory = new JobMemory(bytes, (jobBytes) => taken.push(jobBytes));
  const started: string[] = [];
  const start = (name: string, priority: 'interactive' | 'bulk' = 'bulk', signal = never) => {
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const job = memory.withMemory({ own: 40, shared: 20 }, priority, signal, () => {
      started.push(name);
      return ended;
    });
    return { job, end: () => end() };
  };
  return { memory, taken, started, start };
}

const settle = async () => {
  for (let i = 0; i < 20; i++) await Promise.resolve();
};

it('jobs run if they fit beside each other, with what they share', async () => {
  const { memory, taken, started, start } = jobsIn();
  const jobs = [start('a'), start('b'), start('c')];
  await settle();
  expect(started).toEqual(['a', 'b']);
  expect(memory.taken).toBe(80);
  jobs[0]!.end();
  await settle();
  expect(started).toEqual(['a', 'b', 'c']);
  for (const { end } of jobs) end();
  await Promise.all(jobs.map(({ job }) => job));
  expect(taken).toEqual([40, 80, 40, 80, 40, 0]);
});

it('the most urgent job that waits is the next', async () => {
  const { started, start } = jobsIn(60);
  const jobs = [start('a'), start('b'), start('urgent', 'interactive')];
  for (const { end } of jobs) end();
  await Promise.all(jobs.map(({ job }) => job));
  expect(started).toEqual(['a', 'urgent', 'b']);
});

it('a job that is alone runs, however much it takes', async () => {
  const { started, start } = jobsIn(10);
  const { job, end } = start('a');
  end();
  await job;
  expect(started).toEqual(['a']);
});

it('a cancelled job stops waiting, and those behind it do not wait for it', async () => {
  const { started, start } = jobsIn(60);
  const cancelled = new AbortController();
  const first = start('a');
  const second = start('b', 'bulk', cancelled.signal);
  await settle();
  cancelled.abort(new Error('no longer wanted'));
  await expect(second.job).rejects.toThrow('no longer wanted');
  const third = start('c');
  first.end();
  await settle();
  expect(started).toEqual(['a', 'c']);
  third.end();
  await Promise.all([first.job, third.job]);
});

it('a job that fails gives back its memory', async () => {
  const { memory } = jobsIn();
  const failing = memory.withMemory({ own: 40, shared: 0 }, 'bulk', never, () =>
    Promise.reject(new Error('broken')),
  );
  await expect(failing).rejects.toThrow('broken');
  expect(memory.taken).toBe(0);
});

it('a slide that waits for images of clients alone is the next after a while, however many of them come', async () => {
  let now = 0;
  const memory = new JobMemory(
    100,
    () => {},
    () => now,
  );
  const started: string[] = [];
  const start = (name: string, own: number, priority: 'interactive' | 'bulk') => {
    let end = () => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const job = memory.withMemory({ own, shared: 20 }, priority, never, () => {
      started.push(name);
      return ended;
    });
    return { job, end: () => end() };
  };
  const first = start('first', 40, 'interactive');
  const slide = start('slide', 60, 'bulk');
  const second = start('second', 40, 'interactive');
  await settle();
  expect(started).toEqual(['first', 'second']);
  now = 10_000;
  first.end();
  const third = start('third', 40, 'interactive');
  await settle();
  expect(started).toEqual(['first', 'second']);
  second.end();
  await settle();
  expect(started).toEqual(['first', 'second', 'slide']);
  for (const { end } of [slide, third]) end();
  await Promise.all([first, slide, second, third].map(({ job }) => job));
  expect(started.at(-1)).toBe('third');
});

it('a slide that waits for another slide keeps no image of a client waiting', async () => {
  let now = 0;
  const memory = new JobMemory(
    100,
    () => {},
    () => now,
  );
  const run = (own: number, priority: 'interactive' | 'bulk', work: () => Promise<void>) =>
    memory.withMemory({ own, shared: 0 }, priority, never, work);
  let end = () => {};
  const running = new Promise<void>((resolve) => {
    end = resolve;
  });
  const slides = [run(60, 'bulk', () => running), run(60, 'bulk', async () => {})];
  now = 60_000;
  await run(30, 'interactive', async () => {});
  end();
  await Promise.all(slides);
});
