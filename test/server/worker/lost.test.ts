import { describe, expect, it } from 'vitest';
import type { JobSpec } from '../../../server/contract/job-spec.js';
import type { Receipt } from '../../../server/contract/receipt.js';
import { JobRunner } from '../../../server/jobs/runner.js';
import { type Blame, blameOf, type Loss, WorkerLostError } from '../../../server/worker/lost.js';

/** Worker exits, as reported to the runner. */
const lost = (blame: Blame, loss: Loss = 'crash') => new WorkerLostError('the worker ended', blame, loss);

describe('a job whose worker exits', () => {
  it('is to blame where nothing else may be', () => {
    expect(blameOf('a', ['a'])).toBe('certain');
    expect(blameOf('a', ['a', 'b'])).toBe('possible');
    expect(blameOf('a', ['b'])).toBe('none');
  });

  const { signal } = new AbortController();
  const options = { signal, onStart: async () => {}, onStage: () => {}, onProgress: () => {} };
  /** Runs a job in successive workers that exit as given; the last one completes the job. */
  async function run(ends: readonly WorkerLostError[], held = { strikes: 0, isSuspect: false }) {
    const left = [...ends];
    const saved: number[] = [];
    let tries = 0;
    const worker = {
      hold: () => () => {},
      run: () => {
        tries++;
        const error = left.shift();
        return error ? Promise.reject(error) : Promise.resolve({} as Receipt);
      },
    };
    const book = {
      ...held,
      save: async (strikes: number) => {
        saved.push(strikes);
        book.strikes = strikes;
      },
    };
    const ended = await new JobRunner(worker, 1)
      .run({ id: 'x', priority: 'normal' } as JobSpec, { ...options, strikeBook: book })
      .then(() => 'done')
      .catch((error: { code: string }) => error.code);
    return { ended, tries, saved };
  }

  it('fails after three crashes that it caused, with the code of the crash', async () => {
    const certain = lost('certain');
    expect(await run([certain, certain, certain])).toMatchObject({ ended: 'worker-killer', tries: 3 });
    const hung = lost('certain', 'hang');
    expect(await run([hung, hung, hung])).toMatchObject({ ended: 'worker-hung', tries: 3 });
    const killed = lost('certain', 'devices');
    expect(await run([killed, killed, killed])).toMatchObject({ ended: 'device-killer', tries: 3 });
  });

  it('counts only exits during which it ran, not those while it was queued', async () => {
    const inside = new Map<string, (error: WorkerLostError) => void>();
    const worker = {
      hold: () => () => {},
      run: ({ id }: JobSpec) => new Promise<never>((_, reject) => inside.set(id, reject)),
    };
    const settled = async () => {
      for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
    };
    const end = (blame: Blame) => {
      const all = [...inside.values()];
      inside.clear();
      for (const leave of all) leave(lost(blame));
      return settled();
    };
    const counts: Record<string, number> = { a: 0, b: 0 };
    const runner = new JobRunner(worker, 2);
    for (const id of ['a', 'b']) {
      const onWorkerLost = () => counts[id]!++;
      const strikeBook = { strikes: 0, isSuspect: false, save: async () => {} };
      const spec = { id, priority: 'normal' } as JobSpec;
      void runner.run(spec, { ...options, strikeBook, onWorkerLost });
    }
    await settled();
    await end('possible');
    expect([[...inside.keys()], counts]).toEqual([['a'], { a: 1, b: 1 }]);
    await end('certain');
    expect([[...inside.keys()], counts]).toEqual([['b'], { a: 2, b: 1 }]);
  });

  it('does not fail after any number of crashes that another job may have caused', async () => {
    const others = Array.from({ length: 9 }, (_, i) => lost(i % 2 === 0 ? 'possible' : 'none'));
    expect(await run(others)).toMatchObject({ ended: 'done', tries: 10 });
  });

  it('has a strike persisted before it restarts, and revoked when it ends normally', async () => {
    expect((await run([], { strikes: 1, isSuspect: true })).saved).toEqual([2, 1]);
    expect((await run([], { strikes: 0, isSuspect: false })).saved).toEqual([]);
    expect(await run([], { strikes: 3, isSuspect: true })).toMatchObject({
      ended: 'worker-killer',
      tries: 0,
    });
  });
});
