import { describe, expect, it } from 'vitest';
import { RateLimiter } from '../../../server/http/rate-limit.js';

/** A limiter of 2 requests per second and 4 at once, with its clock. */
function limiter() {
  let now = 1000;
  const rate = new RateLimiter({ perSecond: 2, burst: 4 }, () => now);
  return { rate, pass: (ms: number) => (now += ms) };
}

describe('a rate limiter', () => {
  it('allows a burst, and then a request each time that one is due', () => {
    const { rate, pass } = limiter();
    const allowed = () => rate.take('a').isAllowed;
    expect([allowed(), allowed(), allowed(), allowed(), allowed()]).toEqual([true, true, true, true, false]);
    pass(499);
    expect(allowed()).toBe(false);
    pass(1);
    expect([allowed(), allowed()]).toEqual([true, false]);
  });

  it('says how much is left, and how long to wait', () => {
    const { rate, pass } = limiter();
    expect(rate.take('a')).toEqual({ isAllowed: true, remaining: 3, resetS: 1, retryAfterS: 0 });
    for (let i = 0; i < 3; i++) rate.take('a');
    expect(rate.take('a')).toEqual({ isAllowed: false, remaining: 0, resetS: 2, retryAfterS: 1 });
    pass(10_000);
    expect(rate.take('a').remaining).toBe(3);
  });

  it('gives each caller a rate of its own', () => {
    const { rate } = limiter();
    for (let i = 0; i < 5; i++) rate.take('a');
    expect(rate.take('a').isAllowed).toBe(false);
    expect(rate.take('b').isAllowed).toBe(true);
  });

  it('is not slower to allow for requests that it refused', () => {
    const { rate, pass } = limiter();
    for (let i = 0; i < 100; i++) rate.take('a');
    pass(500);
    expect(rate.take('a').isAllowed).toBe(true);
  });

  it('forgets the least recent of very many callers', () => {
    const { rate } = limiter();
    for (let i = 0; i < 4; i++) rate.take('first');
    for (let i = 0; i < 10_000; i++) rate.take(`caller ${i}`);
    expect(rate.take('first').remaining).toBe(3);
    expect(rate.take('caller 9999').remaining).toBe(2);
  });
});
