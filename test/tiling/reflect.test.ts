import { describe, expect, it } from 'vitest';
import { reflectedInterval, reflectIndex } from '../../tiling/reflect.js';

describe('reflectIndex', () => {
  it('mirrors at both borders and does not repeat the edge', () => {
    const folded = Array.from({ length: 12 }, (_, i) => reflectIndex(i - 4, 4));
    expect(folded).toEqual([2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
  });

  it('is constant for an image one pixel wide', () => {
    expect([-7, -1, 0, 1, 100].map((i) => reflectIndex(i, 1))).toEqual([0, 0, 0, 0, 0]);
  });

  it('gives the range of the image that an interval covers', () => {
    for (const n of [1, 2, 3, 7, 50]) {
      for (const start of [-120, -7, 0, 3, n - 1, n + 40]) {
        for (const length of [1, 5, 60]) {
          const reached = Array.from({ length }, (_, i) => reflectIndex(start + i, n));
          const run = reflectedInterval({ start, stop: start + length }, n);
          expect(run.start).toBeLessThanOrEqual(Math.min(...reached));
          expect(run.stop).toBeGreaterThan(Math.max(...reached));
          expect(run.start).toBeGreaterThanOrEqual(0);
          expect(run.stop).toBeLessThanOrEqual(n);
        }
      }
    }
  });
});
