import { describe, expect, it } from 'vitest';
import { Miniature } from '../../../../server/training/data/miniature.js';
import { paint } from '../../../../server/training/recording/sheets.js';
import { pattern } from '../../../support/rasters.js';

describe('a miniature', () => {
  it.each([
    [700, 300],
    [257, 1001],
    [100, 60],
  ])('of %i×%i px, made of its parts, is what a picture is painted as', (width, height) => {
    const { data } = pattern(width, height);
    const gray = (values: ArrayLike<number>) => (at: number) =>
      [values[at]!, values[at]!, values[at]!] as const;
    const miniature = new Miniature({ width, height });
    for (let y = 0; y < height; y += 37) {
      for (const [x, across] of [[0, 50] as const, [50, width - 50] as const]) {
        const part = { x, y, width: across, height: Math.min(37, height - y) };
        const values = Array.from({ length: part.width * part.height }, (_, i) => {
          return data[(y + Math.floor(i / across)) * width + x + (i % across)]!;
        });
        miniature.put(part, values);
      }
    }
    const painted = paint(miniature.width, miniature.height, gray(miniature.data));
    expect(Buffer.compare(painted.data, paint(width, height, gray(data)).data)).toBe(0);
  });
});
