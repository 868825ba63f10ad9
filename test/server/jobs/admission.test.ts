import { describe, expect, it } from 'vitest';
import { Admission } from '../../../server/jobs/admission.js';

describe('admission', () => {
  const admission = (active: number, paused = 0) => new Admission(3, () => ({ active, paused }));

  it('ends at the limit', () => {
    expect(() => admission(2).check()).not.toThrow();
    expect(() => admission(3).check()).toThrow(expect.objectContaining({ code: 'busy' }));
  });

  it('counts requests that are about to submit a job until they succeed or fail', async () => {
    const full = admission(2);
    await full.withPlace(async () => expect(() => full.check()).toThrow());
    expect(() => full.check()).not.toThrow();
    await expect(full.withPlace(() => Promise.reject(new Error('no image')))).rejects.toThrow('no image');
    expect(() => full.check()).not.toThrow();
  });

  it('counts only paused jobs beyond the limit', () => {
    expect(() => admission(2, 3).check()).not.toThrow();
    expect(() => admission(2, 4).check()).toThrow();
  });

  it('has a second limit of the same size for received images', async () => {
    const received = (active: number) => admission(active).withPlace(async () => 'planned', true);
    expect(await received(5)).toBe('planned');
    await expect(received(6)).rejects.toMatchObject({ code: 'busy' });
  });
});
