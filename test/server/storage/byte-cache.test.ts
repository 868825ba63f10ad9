import { expect, it } from 'vitest';
import { ByteCache } from '../../../server/storage/byte-cache.js';

it('a byte cache evicts the least recently used values once they take too many bytes', () => {
  const cache = new ByteCache<string>(3000);
  for (const key of ['a', 'b', 'c']) cache.set(key, key, 700);
  expect(cache.get('a')).toBe('a');
  cache.set('d', 'd', 700);
  expect(['a', 'b', 'c', 'd'].map((key) => cache.get(key) ?? null)).toEqual(['a', null, 'c', 'd']);
  expect(cache.bytes).toBeLessThanOrEqual(3000);
});

it('a byte cache counts a value that is replaced once, and holds none that is larger than itself', () => {
  const cache = new ByteCache<string>(3000);
  cache.set('a', 'small', 100);
  const { bytes } = cache;
  cache.set('a', 'other', 100);
  expect([cache.get('a'), cache.bytes]).toEqual(['other', bytes]);
  cache.set('a', 'huge', 3001);
  expect([cache.get('a'), cache.bytes]).toEqual([undefined, 0]);
});
