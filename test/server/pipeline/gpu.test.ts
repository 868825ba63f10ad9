import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import type { EngineRequest } from '../../../model/engine/open-engine.js';
import type { Receipt } from '../../../server/contract/receipt.js';
import type { TileChoice } from '../../../tiling/plan.js';
import { type FakeGpu, WITH_FAKE_GPU } from '../../support/fake-gpu.js';
import { testFolder } from '../../support/files.js';
import { MODELS } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { startSegmenter } from '../../support/segmenters.js';

const folder = await testFolder();
const input = join(folder, 'image.png');
const { data, width, height } = pattern(600, 500);
await sharp(data, { raw: { width, height, channels: 1 } })
  .toColourspace('b-w')
  .png()
  .toFile(input);

/** Of one value, and so are its tiles. */
const grey = join(folder, 'grey.png');
await sharp({ create: { width: 600, height: 600, channels: 3, background: 'grey' } })
  .toColourspace('b-w')
  .png()
  .toFile(grey);

const SMALL_TILE = { width: 120, height: 120 };

interface Segmented {
  readonly receipt: Receipt;
  readonly mask: Buffer;
}

interface Run {
  readonly times?: number;
  readonly image?: string;
  readonly journal?: string | null;
}

/** Segments the image several times with one engine. */
async function segment(
  engine: Partial<EngineRequest>,
  tile: TileChoice,
  { times = 1, image = input, journal = null }: Run = {},
): Promise<readonly Segmented[]> {
  const { segmenter, close } = await startSegmenter(
    {
      modelsDir: MODELS,
      memory: 4e9,
      tileCacheBytes: 16e6,
      engine: { provider: 'cpu', threads: 1, ...engine },
    },
    { maxPixels: 1e6 },
  );
  try {
    const all: Segmented[] = [];
    for (let i = 0; i < times; i++) {
      const path = join(folder, 'mask.tif');
      const work = { symmetries: false, scale: false, background: null, threshold: null, tile } as const;
      const receipt = await segmenter.run({
        id: `job ${i}`,
        model: 'shapes-notebook',
        input: image,
        singleFile: true,
        choice: {},
        scratchDir: folder,
        priority: 'normal',
        journal,
        results: [{ output: 'probabilities', format: 'tiff', path }],
        signal: new AbortController().signal,
        ...work,
      });
      all.push({ receipt, mask: await readFile(path) });
    }
    return all;
  } finally {
    await close();
  }
}

const segmentOn = (gpu: FakeGpu, tile: TileChoice, { batch, ...run }: Run & { batch?: number } = {}) => {
  process.env.FAKE_GPU = JSON.stringify(gpu);
  process.env.NODE_OPTIONS = WITH_FAKE_GPU;
  const devices = { provider: 'cuda', devices: [0] } as const;
  return segment({ ...devices, ...(batch && { batch }) }, tile, run);
};

let expected: Buffer;
beforeAll(async () => {
  expected = (await segment({}, SMALL_TILE))[0]!.mask;
});

describe('a GPU', () => {
  it('has the mask of one pass where each shape that is used passed its test', async () => {
    const [{ receipt, mask }] = (await segmentOn({}, SMALL_TILE)) as [Segmented];
    const facts = { exact: true, repeatable: true, largestDifference: 0, warnings: [] };
    expect(receipt).toMatchObject({ ...facts, plan: { tile: '120x120' } });
    expect(mask.equals(expected)).toBe(true);
  });

  it('is not exact where one of them differs: the tile and the batch are fixed, and results repeat', async () => {
    const differs = { count: 2, width: 100 };
    const [first, second] = await segmentOn({ differs }, SMALL_TILE, { batch: 2, times: 2 });
    expect(first!.receipt).toMatchObject({
      exact: false,
      warnings: [expect.stringContaining('instead of the requested ones')],
    });
    expect(first!.receipt.plan.tile).not.toBe('120x120');
    expect(first!.receipt.largestDifference).toBeCloseTo(2 ** -20, 7);
    const [side] = first!.receipt.plan.tile.split('x').map(Number) as [number];
    expect(first!.receipt.compute.batchPx).toBe(2 * side * side);
    expect(second!.mask.equals(first!.mask)).toBe(true);
    expect(first!.mask.equals(expected)).toBe(false);
  });

  it('says that results do not repeat, and reuses none, where the same tile differs each time', async () => {
    const journal = join(folder, 'bands');
    const [{ receipt }] = (await segmentOn({ flickers: true }, SMALL_TILE, {
      batch: 2,
      image: grey,
      journal,
    })) as [Segmented];
    const { tile, tiles } = receipt.plan;
    const [side] = tile.split('x').map(Number) as [number];
    expect(receipt).toMatchObject({ exact: false, repeatable: false, compute: { batchPx: side * side } });
    expect(receipt.warnings).toContainEqual(expect.stringContaining('not compute the same bits each time'));
    expect(receipt.tiles).toMatchObject({ computed: tiles, constant: 0, replayed: 0 });
    expect(existsSync(journal)).toBe(false);
  });

  it('has smaller batches where its memory is less than was planned for', async () => {
    const [{ receipt, mask }] = (await segmentOn({ fittingPx: 4 * 120 * 120 }, SMALL_TILE)) as [Segmented];
    expect(receipt).toMatchObject({ exact: true });
    expect(mask.equals(expected)).toBe(true);
  });

  it('has batches of the size that fits where that decides last bits', async () => {
    const differs = { count: 2, width: 100 };
    const fittingPx = 700_000;
    const [{ receipt }] = (await segmentOn({ differs, fittingPx }, SMALL_TILE, { batch: 4 })) as [Segmented];
    expect(receipt).toMatchObject({ exact: false });
    expect(receipt.compute.batchPx).toBeLessThanOrEqual(fittingPx);
  });

  it('is planned for by its memory, of which that of the server is independent', async () => {
    const [{ receipt }] = (await segmentOn({ memoryBytes: 100e6 }, SMALL_TILE)) as [Segmented];
    expect(receipt).toMatchObject({ exact: true });
    expect(receipt.compute.batchPx).toBeLessThan(70e6 / 200);
    await expect(segmentOn({ memoryBytes: 1e6 }, SMALL_TILE)).rejects.toMatchObject({
      code: 'too-little-memory',
      message: expect.stringContaining("of the GPU's memory"),
    });
  });
});
