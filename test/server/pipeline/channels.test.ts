import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Segmenter } from '../../../server/pipeline/segmenter.js';
import type { ImageChoice } from '../../../tiling/sources/options.js';
import { testFolder } from '../../support/files.js';
import { MARKERS, writeMarkers, writeModels } from '../../support/markers.js';
import { plainJob, startSegmenter } from '../../support/segmenters.js';

const folder = await testFolder();
const models = join(folder, 'models');
const write = (name: string, order: readonly number[], names = MARKERS) =>
  writeMarkers(join(folder, `${name}.ome.tif`), order, { names });

let segmenter: Segmenter;
beforeAll(async () => {
  const channels = MARKERS.map((name) => ({ name, aliases: [`${name}-AF`] }));
  await writeModels(models, 5, { markers: { channels }, plain: {} });
  const started = await startSegmenter(
    { modelsDir: models, engine: { provider: 'cpu', threads: 1 } },
    { maxPixels: 1e6 },
  );
  segmenter = started.segmenter;
  return started.close;
});

async function run(model: string, input: string, choice: ImageChoice = {}) {
  const path = join(folder, 'probabilities.raw');
  const results = [{ output: 'probabilities', format: 'raw', path }] as const;
  const receipt = await segmenter.run(plainJob({ input, model, choice, scratchDir: folder, results }));
  return { receipt, bytes: await readFile(path) };
}

describe('a model of five named channels', () => {
  it('finds them by name in any order, among others, and the result is the same', async () => {
    const { bytes, receipt } = await run('markers', await write('ordered', [0, 1, 2, 3, 4]));
    expect(receipt).toMatchObject({ channels: 'none', channelIndexes: [0, 1, 2, 3, 4], exact: true });
    const mixed = await run('markers', await write('mixed', [3, 0, 4, 4, 1, 2], MARKERS), {
      channels: ['dapi', 'CD3', 'CD8', 0, 2],
    });
    expect(mixed.receipt.channelIndexes).toEqual([1, 4, 5, 0, 2]);
    expect(mixed.bytes.equals(bytes)).toBe(true);
    const renamed = await write(
      'renamed',
      [4, 2, 0, 3, 1],
      MARKERS.map((name) => `${name}-af`),
    );
    const aliased = await run('markers', renamed);
    expect(aliased.receipt.channelIndexes).toEqual([2, 4, 1, 3, 0]);
    expect(aliased.bytes.equals(bytes)).toBe(true);
    const unnamed = await run('plain', await write('again', [0, 1, 2, 3, 4]));
    expect(unnamed.bytes.equals(bytes)).toBe(true);
  });

  it('refuses an image without one of them, or with one twice, and lists what it has', async () => {
    const lacking = await write('lacking', [0, 1, 2, 3]);
    await expect(run('markers', lacking)).rejects.toMatchObject({
      code: 'unsupported-image',
      message: expect.stringMatching(
        /no channel named "CD45" or "CD45-AF": its channels are 0 DAPI, .* 3 CD20/,
      ),
    });
    await expect(run('markers', await write('twice', [0, 1, 2, 3, 4, 4]))).rejects.toThrow(
      'has 2 channels named "CD45"',
    );
    await expect(run('markers', lacking, { channels: [0, 1] })).rejects.toThrow(
      'the image has 2 channels (0 DAPI, 1 CD3), and model markers takes 5 (DAPI, CD3, CD8, CD20, CD45, in this order)',
    );
  });
});
