import { describe, expect, it } from 'vitest';
import { RestartDelay } from '../../../server/worker/restart-delay.js';

const LIMITS = { first: 500, last: 30_000 };

describe('the delay before a worker is started again', () => {
  it('doubles while workers do not last, up to the longest', () => {
    const delay = new RestartDelay(LIMITS);
    const delays = Array.from({ length: 8 }, () => delay.next(2000));
    expect(delays).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  it('is the shortest after a worker that has run for longer than the longest delay', () => {
    const delay = new RestartDelay(LIMITS);
    for (let i = 0; i < 8; i++) delay.next(0);
    expect([delay.next(30_001), delay.next(0)]).toEqual([500, 1000]);
    // Such as of one that is killed each minute.
    expect(Array.from({ length: 9 }, () => delay.next(59_000))).toEqual(Array(9).fill(500));
  });
});
