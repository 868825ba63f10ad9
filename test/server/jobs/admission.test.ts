import { describe, expect, it } from 'vitest';
import { Admission, type Demand, type Occupancy } from '../../../server/jobs/admission.js';

const NO_OWNER_LIMITS = { ownerJobs: null, ownerPixels: null };
const ANN: Demand = { owner: 'ann', priority: 'normal' };
const BOB: Demand = { ...ANN, owner: 'bob' };

describe('admission', () => {
  const places = { interactive: 3, normal: 3, bulk: 3 };
  const admission = (active: number, paused = 0) =>
    new Admission({ places, ...NO_OWNER_LIMITS }, () => ({ active, paused, pixels: 0 }));

  it('ends at the limit', () => {
    expect(() => admission(2).check(ANN)).not.toThrow();
    expect(() => admission(3).check(ANN)).toThrow(expect.objectContaining({ code: 'busy' }));
  });

  it('counts requests that are about to submit a job until they succeed or fail', async () => {
    const full = admission(2);
    await full.withPlace(ANN, async () => expect(() => full.check(BOB)).toThrow());
    expect(() => full.check(ANN)).not.toThrow();
    await expect(full.withPlace(ANN, () => Promise.reject(new Error('no image')))).rejects.toThrow(
      'no image',
    );
    expect(() => full.check(ANN)).not.toThrow();
  });

  it('counts only paused jobs beyond the limit', () => {
    expect(() => admission(2, 3).check(ANN)).not.toThrow();
    expect(() => admission(2, 4).check(ANN)).toThrow();
  });

  it('has a second limit of the same size for received images', async () => {
    const received = (active: number) => admission(active).withPlace(ANN, async () => 'planned', true);
    expect(await received(5)).toBe('planned');
    await expect(received(6)).rejects.toMatchObject({ code: 'busy' });
  });
});

/** The occupancy of jobs that run. */
const occupancyOf =
  (jobs: readonly (Demand & { readonly pixels?: number })[]) =>
  (counts: (job: Demand) => boolean): Occupancy => {
    const counted = jobs.filter(counts);
    const pixels = counted.reduce((sum, job) => sum + (job.pixels ?? 0), 0);
    return { active: counted.length, paused: 0, pixels };
  };

describe('places by priority', () => {
  const places = { interactive: 4, normal: 3, bulk: 2 };
  const jobs = (...priorities: Demand['priority'][]) =>
    new Admission(
      { places, ...NO_OWNER_LIMITS },
      occupancyOf(priorities.map((priority) => ({ owner: 'ann', priority }))),
    );
  const accepts = (admission: Admission, priority: Demand['priority']) => {
    try {
      admission.check({ owner: 'bob', priority });
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'busy' });
      return false;
    }
  };

  it('leave the last ones to what is more urgent', () => {
    const full = jobs('bulk', 'bulk');
    expect([accepts(full, 'bulk'), accepts(full, 'normal'), accepts(full, 'interactive')]).toEqual([
      false,
      true,
      true,
    ]);
    const fuller = jobs('bulk', 'normal', 'normal');
    expect([accepts(fuller, 'normal'), accepts(fuller, 'interactive')]).toEqual([false, true]);
  });

  it('are exceeded by no more than the uploads at a time, of which none is turned away', () => {
    const received = (active: number) => () =>
      jobs(...Array.from({ length: active }, () => 'bulk' as const)).check(
        { owner: 'bob', priority: 'bulk' },
        true,
      );
    expect(received(places.bulk + places.interactive - 1)).not.toThrow();
    expect(received(places.bulk + places.interactive)).toThrow('the server accepts no more');
  });

  it('are not taken from what is less urgent by what is more', () => {
    const urgent = jobs('interactive', 'interactive');
    expect([accepts(urgent, 'bulk'), accepts(urgent, 'normal')]).toEqual([true, true]);
    expect(accepts(jobs('interactive', 'interactive', 'interactive', 'interactive'), 'bulk')).toBe(false);
  });

  it('say which of them are taken', () => {
    expect(() => jobs('bulk', 'normal', 'bulk').check(ANN)).toThrow(
      '3 jobs of priority normal and bulk are pending or running: the server accepts no more',
    );
  });
});

describe('the limits of an owner', () => {
  const places = { interactive: 100, normal: 100, bulk: 100 };
  const running = [
    { ...ANN, pixels: 600 },
    { ...ANN, pixels: 300 },
    { ...BOB, pixels: 100 },
  ];
  const admission = new Admission({ places, ownerJobs: 2, ownerPixels: 1000 }, occupancyOf(running));

  it('are the number of its jobs', async () => {
    expect(() => admission.check(ANN)).toThrow(expect.objectContaining({ code: 'too-many-jobs' }));
    await admission.withPlace(BOB, async () =>
      expect(() => admission.check(BOB)).toThrow('2 of your jobs are pending or running; the limit is 2'),
    );
    expect(() => admission.check(BOB)).not.toThrow();
  });

  it('are the pixels of its jobs, with those that are submitted at this moment', async () => {
    const submit = (owner: string, pixels: number, work = async () => {}) =>
      admission.withPixels(owner, pixels, work);
    await submit('ann', 100);
    await expect(submit('ann', 101)).rejects.toMatchObject({ code: 'too-many-pixels' });
    await submit('bob', 500, async () => {
      await expect(submit('bob', 401)).rejects.toMatchObject({ code: 'too-many-pixels' });
      await submit('bob', 400);
    });
    await submit('bob', 900);
  });
});
