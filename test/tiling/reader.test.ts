import { describe, expect, it } from 'vitest';
import { readTile } from '../../tiling/reader.js';
import { reflectIndex } from '../../tiling/reflect.js';
import { memorySource } from '../../tiling/sources/memory.js';
import { firstDifference, pattern } from '../support/rasters.js';

describe('readTile', () => {
  it.each([
    [10, 8, { x: 2, y: 3, width: 4, height: 4 }],
    [10, 8, { x: -5, y: -3, width: 20, height: 16 }],
    [10, 8, { x: 7, y: 6, width: 30, height: 30 }],
    [3, 2, { x: -40, y: -41, width: 90, height: 80 }],
    [1, 1, { x: -9, y: -9, width: 19, height: 19 }],
    [10, 8, { x: 25, y: 30, width: 5, height: 6 }],
    [1, 50, { x: -4, y: -4, width: 9, height: 12 }],
  ])('of %i×%i px reads the pixels inside and mirrors those outside (%o)', async (width, height, read) => {
    for (const channels of [1, 3]) {
      const image = pattern(width, height, channels);
      const tile = await readTile(memorySource(image), read);
      const expected = tile.data.map((_, i) => {
        const [c, x] = [i % channels, reflectIndex(read.x + (Math.floor(i / channels) % read.width), width)];
        const y = reflectIndex(read.y + Math.floor(i / channels / read.width), height);
        return image.data[(y * width + x) * channels + c]!;
      });
      expect(firstDifference(tile.data, expected)).toBe(-1);
    }
  });
});
