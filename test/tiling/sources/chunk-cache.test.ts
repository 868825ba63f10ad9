import { describe, expect, it } from 'vitest';
import { ChunkCache } from '../../../tiling/sources/chunk-cache.js';

const MIB = 1 << 20;

describe('a cache of chunks', () => {
  /** How many chunks of 1 MiB are kept of 200, where regions of 1024 px a row and these sizes are read. */
  async function kept(imageWidth: number, ...regionMib: readonly number[]): Promise<number> {
    const count = 200;
    const cache = new ChunkCache<string>();
    for (const each of regionMib) cache.makeRoom(each * MIB, 1024, imageWidth);
    for (let i = 0; i < count; i++) await cache.get(`${i}`, MIB, async () => 'a chunk');
    let missing = 0;
    for (let i = count - 1; i >= 0; i--) {
      await cache.get(`${i}`, 0, async () => String(missing++));
    }
    return count - missing;
  }

  it.each([
    ['32 MiB of small regions', [100_000, 4], 32],
    ['a row of the largest regions', [4096, 15, 2], 60],
    ['a region of the width of an image', [1000, 40], 40],
    ['a row as wide as a column block of an image', [100_000, 6], 48],
    ['96 MiB at most', [100_000, 1000], 96],
  ] as const)('keeps %s', async (_name, [imageWidth, ...regionMib], expected) => {
    expect(await kept(imageWidth, ...regionMib)).toBe(expected);
  });

  it('decodes a chunk once, unless that fails', async () => {
    const cache = new ChunkCache<string>();
    const failing = cache.get('a', MIB, () => Promise.reject(new Error('truncated')));
    await expect(failing).rejects.toThrow('truncated');
    const [first, second] = [
      cache.get('a', MIB, async () => 'decoded'),
      cache.get('a', MIB, async () => 'decoded again'),
    ];
    expect(second).toBe(first);
    expect(await first).toBe('decoded');
  });
});
