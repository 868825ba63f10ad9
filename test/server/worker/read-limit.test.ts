import { expect, it } from 'vitest';
import { withLimits } from '../../../server/worker/read-limit.js';
import type { PixelReader } from '../../../tiling/source.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { pattern } from '../../support/rasters.js';

const image = memorySource(pattern(20, 10));
/** A reader that hangs, as native code may. */
const hung: PixelReader = { size: image.size, readRegion: () => new Promise(() => undefined) };
const rect = { x: 0, y: 0, width: 4, height: 3 };

it.each([
  ['of the image', { readRegion: hung.readRegion }, 'image'],
  ['of an overview', { overviews: [hung] }, 'overview'],
  ['of the stored values', { stored: hung }, 'stored'],
] as const)('times reads %s', async (_name, members, which) => {
  const why = await new Promise<string>((resolve) => {
    const opening = Promise.resolve({ ...image, ...members });
    void withLimits(opening, { openMs: 1000, readMs: 1 }, resolve).then((timed) => {
      const readers = { image: timed, overview: timed.overviews[0], stored: timed.stored };
      void readers[which]!.readRegion(rect);
    });
  });
  expect(why).toBe('reading 4×3 px at 0,0 took longer than 0.001 s');
});
