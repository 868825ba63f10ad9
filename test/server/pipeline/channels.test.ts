import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { Engine } from '../../../model/engine/engine.js';
import type { Segmenter } from '../../../server/pipeline/segmenter.js';
import type { ImageChoice } from '../../../tiling/sources/options.js';
import { testFolder } from '../../support/files.js';
import { pattern } from '../../support/rasters.js';
import { startSegmenter } from '../../support/segmenters.js';
import { writeTestTiff } from '../../support/tiff.js';
import { writeUntrained } from '../../support/untrained.js';

const folder = await testFolder();
const models = join(folder, 'models');
const MARKERS = ['DAPI', 'CD3', 'CD8', 'CD20', 'CD45'];
const [width, height] = [150, 121];
const planes = MARKERS.map((_, i) => {
  const { data } = pattern(width, height, 1, 'uint16');
  return Uint16Array.from(data, (value, at) => (value * (i + 1) + at * 7 * i) % 65536);
});

/** A model of the five markers; changes its card. */
async function writeModel(name: string, inputChannels: number, change: object): Promise<void> {
  const engine = Engine.start({ provider: 'cpu', threads: 1 });
  const unet = { channels: [4, 8], inputChannels, classes: 3, seed: 5 };
  await writeUntrained(engine, join(models, name, '1'), unet, name);
  await engine.close();
  const path = join(models, name, '1', 'card.json');
  const card = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify({ ...card, ...change }));
}

/** An OME-TIFF with a page for each of these channels. */
async function writeOme(name: string, order: readonly number[], labels = MARKERS): Promise<string> {
  const path = join(folder, `${name}.ome.tif`);
  const channels = order.map((i) => `<Channel SamplesPerPixel="1" Name="${labels[i]}"/>`).join('');
  const description =
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels ' +
    `DimensionOrder="XYCZT" SizeX="${width}" SizeY="${height}" SizeC="${order.length}" SizeZ="1" SizeT="1" ` +
    `Type="uint16">${channels}<TiffData/></Pixels></Image></OME>`;
  const pages = order.map((i) => ({ width, height, channels: 1, data: planes[i]! }));
  await writeTestTiff(
    path,
    pages,
    pages.map((_, i) => ({ compression: 8, ...(i === 0 && { description }) })),
  );
  return path;
}

let segmenter: Segmenter;
beforeAll(async () => {
  await writeModel('markers', 5, { channels: MARKERS.map((name) => ({ name, aliases: [`${name}-AF`] })) });
  await writeModel('plain', 5, {});
  const started = await startSegmenter(
    { modelsDir: models, engine: { provider: 'cpu', threads: 1 } },
    { maxPixels: 1e6 },
  );
  segmenter = started.segmenter;
  return started.close;
});

async function run(model: string, input: string, choice: ImageChoice = {}) {
  const path = join(folder, 'probabilities.raw');
  const receipt = await segmenter.run({
    id: 'job',
    input,
    choice,
    model,
    tile: 'auto',
    symmetries: false,
    scale: false,
    priority: 'normal',
    background: null,
    scratchDir: folder,
    journal: null,
    signal: new AbortController().signal,
    results: [{ output: 'probabilities', format: 'raw', path }],
  });
  return { receipt, bytes: await readFile(path) };
}

describe('a model of five named channels', () => {
  it('finds them by name in any order, among others, and the result is the same', async () => {
    const { bytes, receipt } = await run('markers', await writeOme('ordered', [0, 1, 2, 3, 4]));
    expect(receipt).toMatchObject({ channels: 'none', channelIndexes: [0, 1, 2, 3, 4], exact: true });
    const mixed = await run('markers', await writeOme('mixed', [3, 0, 4, 4, 1, 2], MARKERS), {
      channels: ['dapi', 'CD3', 'CD8', 0, 2],
    });
    expect(mixed.receipt.channelIndexes).toEqual([1, 4, 5, 0, 2]);
    expect(mixed.bytes.equals(bytes)).toBe(true);
    const renamed = await writeOme(
      'renamed',
      [4, 2, 0, 3, 1],
      MARKERS.map((name) => `${name}-af`),
    );
    const aliased = await run('markers', renamed);
    expect(aliased.receipt.channelIndexes).toEqual([2, 4, 1, 3, 0]);
    expect(aliased.bytes.equals(bytes)).toBe(true);
    const unnamed = await run('plain', await writeOme('again', [0, 1, 2, 3, 4]));
    expect(unnamed.bytes.equals(bytes)).toBe(true);
  });

  it('refuses an image without one of them, or with one twice, and lists what it has', async () => {
    const lacking = await writeOme('lacking', [0, 1, 2, 3]);
    await expect(run('markers', lacking)).rejects.toMatchObject({
      code: 'unsupported-image',
      message: expect.stringMatching(
        /no channel named "CD45" or "CD45-AF": its channels are 0 DAPI, .* 3 CD20/,
      ),
    });
    await expect(run('markers', await writeOme('twice', [0, 1, 2, 3, 4, 4]))).rejects.toThrow(
      'has 2 channels named "CD45"',
    );
    await expect(run('markers', lacking, { channels: [0, 1] })).rejects.toThrow(
      'the image has 2 channels (0 DAPI, 1 CD3), and model markers takes 5 (DAPI, CD3, CD8, CD20, CD45, in this order)',
    );
  });
});
