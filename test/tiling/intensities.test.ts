import { describe, expect, it } from 'vitest';
import { sampleValues } from '../../tiling/intensities.js';
import { memorySource } from '../../tiling/sources/memory.js';

/** An image whose rows have the values 0, 1, 2 and so on; counts the rows that are read. */
function ramp(height: number) {
  const data = Uint8Array.from({ length: 3 * height }, (_, i) => Math.floor(i / 3));
  const image = memorySource({ data, width: 3, height, channels: 1 });
  const read = { rows: 0 };
  const source: typeof image = {
    ...image,
    readRegion(rect, signal) {
      read.rows += rect.height;
      return image.readRegion(rect, signal);
    },
  };
  return { source, read };
}

describe('sampleValues', () => {
  it('finds the least and the greatest value of a small image, of which it reads each pixel once', async () => {
    const { source, read } = ramp(200);
    expect(await sampleValues(source, () => false)).toEqual([0, 199]);
    expect(read.rows).toBe(200);
  });

  it('reads no further once its values are enough', async () => {
    const { source, read } = ramp(200);
    const [least, greatest] = await sampleValues(source, ([low, high]) => high - low > 20);
    expect(least).toBe(0);
    expect(greatest).toBe(read.rows - 1);
    expect(read.rows).toBeLessThan(200);
  });
});
