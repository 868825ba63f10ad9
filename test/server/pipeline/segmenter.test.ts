import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, expect, it, vi } from 'vitest';
import { Engine } from '../../../model/engine/engine.js';
import { testFolder } from '../../support/files.js';
import { MODELS } from '../../support/product.js';
import { startSegmenter } from '../../support/segmenters.js';

const scratchDir = await testFolder();
afterEach(() => vi.restoreAllMocks());

it('a plan is exact only if batches of its threads were tested, where memory leaves fewer lanes, too', async () => {
  const tested = vi.spyOn(Engine.prototype, 'tested');
  const { segmenter, close } = await startSegmenter(
    { modelsDir: MODELS, engine: { provider: 'cpu', threads: 4 }, memory: 3 * 2 ** 30 },
    { maxPixels: 1e9 },
  );
  try {
    const planOf = (tile: number) => {
      const size = { width: 6000, height: 6000 };
      const facts = { channels: 1, dtype: 'uint8', channelNames: null, notes: [], mpp: null } as const;
      const spec = { model: 'em-membrane', input: 'slide.tif', scratchDir, singleFile: true, choice: {} };
      const work = { symmetries: false, scale: false, background: null, tile: { width: tile, height: tile } };
      return segmenter.plan({ ...spec, ...work }, { size, facts, overviews: [] });
    };
    const plans = [await planOf(188), await planOf(1404)];
    expect(plans.map(({ compute }) => compute)).toMatchObject([
      { lanes: 4, threads: 1 },
      { lanes: 2, threads: 2 },
    ]);
    expect(tested.mock.calls.map(([, , threads]) => threads)).toEqual([1, 1, 2]);
  } finally {
    await close();
  }
});

it('a job that is cancelled leaves the test of tiles at once, which goes on', async () => {
  const input = join(scratchDir, 'image.png');
  await sharp({ create: { width: 100, height: 80, channels: 3, background: 'grey' } })
    .toColourspace('b-w')
    .png()
    .toFile(input);
  const cancel = new AbortController();
  const cancelled = new Error('cancelled');
  const ended: string[] = [];
  const { segmenter, close } = await startSegmenter(
    {
      modelsDir: MODELS,
      engine: { provider: 'cpu', threads: 1 },
      onBatch: () => cancel.abort(cancelled), // the first is one of the test
      onTiling: () => ended.push('test'),
    },
    { maxPixels: 1e6 },
  );
  try {
    const path = join(scratchDir, 'mask.tif');
    const options = {
      symmetries: false,
      scale: false,
      background: null,
      threshold: null,
      tile: 'auto',
    } as const;
    const job = {
      id: 'job',
      model: 'shapes-notebook',
      input,
      scratchDir,
      singleFile: true,
      choice: {},
      ...options,
    };
    const results = [{ output: 'labels', format: 'tiff', path }] as const;
    const { signal } = cancel;
    const running = segmenter.run({ ...job, priority: 'normal', journal: null, results, signal });
    await running.catch((error: Error) => ended.push(error.message));
    await vi.waitFor(() => expect(ended).toEqual(['cancelled', 'test']), { timeout: 10_000 });
  } finally {
    await close();
  }
});
