import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import type { NormalisationStep } from '../../../model/network/normalisation.js';
import { mapsOf, scaleOf } from '../../../model/network/tile-scale.js';
import type { StatisticsRequest } from '../../../server/contract/statistics.js';
import type { SegmentJob } from '../../../server/pipeline/segment-job.js';
import type { Segmenter } from '../../../server/pipeline/segmenter.js';
import { testFolder } from '../../support/files.js';
import { MARKER_PLANES, MARKERS, writeMarkers, writeModels } from '../../support/markers.js';
import { pattern } from '../../support/rasters.js';
import { plainJob, startSegmenter } from '../../support/segmenters.js';
import { writeTestTiff } from '../../support/tiff.js';
import { writeTestZarr } from '../../support/zarr.js';

const folder = await testFolder();
const models = join(folder, 'models');
const ORDER = [0, 1, 2, 3, 4];
const [width, height] = [150, 121];
const interleaved = {
  width,
  height,
  channels: 5,
  data: Uint16Array.from({ length: width * height * 5 }, (_, i) => MARKER_PLANES[i % 5]![Math.floor(i / 5)]!),
};

const percentiles: NormalisationStep = {
  step: 'scale_range',
  percentiles: [1, 99.8],
  of: 'channel',
  eps: 1e-6,
};
const clip = { step: 'clip', min: 0, max: 1 } as const;
const moments = { step: 'zero_mean_unit_variance', of: 'channel', eps: 1e-6 } as const;
const asStored = [{ step: 'scale_linear', gain: [1], offset: [0] }];

let segmenter: Segmenter;
beforeAll(async () => {
  await writeModels(models, 5, {
    percentiles: { normalisation: [percentiles, clip] },
    moments: { normalisation: [{ ...moments, of: 'image' }] },
    both: { normalisation: [percentiles, clip, moments], channels: MARKERS.map((name) => ({ name })) },
    stored: { normalisation: asStored },
    plain: {},
  });
  await writeModels(models, 1, { gray: { normalisation: [moments] } });
  const started = await startSegmenter(
    { modelsDir: models, engine: { provider: 'cpu', threads: 1 } },
    { maxPixels: 1e6 },
  );
  segmenter = started.segmenter;
  return started.close;
});

async function run(
  model: string,
  input: string,
  more: Partial<SegmentJob> & { readonly statistics?: StatisticsRequest } = {},
) {
  const path = join(folder, `${randomUUID()}.raw`);
  const results = [{ output: 'probabilities', format: 'raw', path }] as const;
  const job = { id: path, input, model, scratchDir: folder, results };
  const receipt = await segmenter.run(plainJob({ ...job, ...more }));
  return { receipt, bytes: await readFile(path).catch(() => Buffer.alloc(0)) };
}

/** The image in the values that the network should see, as floats. */
async function writeScaled(path: string, statistics: readonly (readonly number[])[]): Promise<string> {
  const pairs = statistics.map(([low, high]) => [low!, high!] as const);
  const { shift, factor, low, high } = scaleOf(mapsOf([percentiles, clip], 5, 1, [pairs]));
  const data = Float32Array.from(interleaved.data, (value, i) => {
    const c = i % 5;
    const x = Math.fround(Math.fround(value - shift[c]!) * factor[c]!);
    return Math.min(high[c]!, Math.max(low[c]!, x));
  });
  await writeTestTiff(path, { ...interleaved, data }, { compression: 1, photometric: 1, format: 3 });
  return path;
}

describe('an image that is normalised by its statistics', () => {
  it('is seen as its values are by definition, and they are in the receipt', async () => {
    const input = await writeMarkers(join(folder, 'image.ome.tif'), ORDER);
    const { receipt, bytes } = await run('percentiles', input);
    expect(receipt).toMatchObject({
      normalisation: 'scale_range, clip',
      range: null,
      exact: true,
      warnings: [],
    });
    expect(receipt.stagesMs.statistics).toBeGreaterThan(0);
    const { level, steps, channels } = receipt.statistics!;
    expect([level, steps]).toEqual([0, ['scale_range']]);
    for (const [c, { values }] of channels.entries()) {
      const sorted = MARKER_PLANES[c]!.toSorted();
      const at = (sorted.length - 1) * 0.01;
      const [below, above] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
      expect(values[0]).toBeCloseTo(below + (above - below) * (at % 1), 9);
    }
    const scaled = await writeScaled(
      join(folder, 'scaled.tif'),
      channels.map(({ values }) => values),
    );
    expect((await run('stored', scaled)).bytes.equals(bytes)).toBe(true);
  });

  it('has the same statistics, and the same result, from strips, tiles and a Zarr, in tiles of any size', async () => {
    const strips = await writeMarkers(join(folder, 'strips.ome.tif'), ORDER, { compression: 1 });
    const tiles = await writeMarkers(join(folder, 'tiles.ome.tif'), ORDER, {
      tile: { width: 64, height: 32 },
    });
    const zarr = join(folder, 'image.zarr');
    await writeTestZarr(zarr, [interleaved]);
    for (const model of ['percentiles', 'moments']) {
      const expected = await run(model, strips);
      for (const input of [tiles, zarr]) {
        const { receipt, bytes } = await run(model, input, { tile: { width: 60, height: 68 } });
        expect(receipt.statistics!.channels.map(({ values }) => values)).toEqual(
          expected.receipt.statistics!.channels.map(({ values }) => values),
        );
        expect(bytes.equals(expected.bytes)).toBe(true);
      }
    }
  });

  it('takes those that are given, such as of an earlier receipt, and reads the image once', async () => {
    const input = await writeMarkers(join(folder, 'given.ome.tif'), ORDER);
    const { receipt, bytes } = await run('both', input);
    const { channels } = receipt.statistics!;
    expect(channels.map(({ name, values }) => [name, values.length])).toEqual(
      MARKERS.map((name) => [name, 4]),
    );
    const given = channels.map(({ name, values }) => ({ channel: name, values }));
    const counted: unknown[] = [];
    const again = await run('both', input, {
      statistics: { given: given.toReversed() },
      onProgress: ({ statistics }) => statistics && counted.push(statistics),
    });
    expect(again.receipt).toMatchObject({ statistics: { level: null, channels } });
    expect(counted).toEqual([]);
    expect(again.bytes.equals(bytes)).toBe(true);
    const other = [{ channel: null, values: [0, 30_000, 0.5, 0.2] }];
    expect((await run('both', input, { statistics: { given: other } })).bytes.equals(bytes)).toBe(false);
  });

  it('goes on with the same ones after it was interrupted; with others, its bands are computed anew', async () => {
    const input = await writeMarkers(join(folder, 'resumed.ome.tif'), ORDER);
    const whole = await run('percentiles', input);
    const journal = join(folder, 'journal');
    const tile = { width: 60, height: 44 };
    const stop = new AbortController();
    const interrupted = run('percentiles', input, {
      tile,
      journal,
      signal: stop.signal,
      onProgress: ({ tilesDone, tiles }) => tilesDone > tiles / 2 && stop.abort(new Error('stopped')),
    });
    await expect(interrupted).rejects.toThrow('stopped');
    const other = { given: [{ channel: null, values: [0, 9000] }] };
    const counted: unknown[] = [];
    const resumed = await run('percentiles', input, {
      tile,
      journal,
      onProgress: ({ statistics }) => statistics && counted.push(statistics),
    });
    expect(counted).toEqual([]); // they are read from the journal
    expect(resumed.receipt.tiles.replayed).toBeGreaterThan(0);
    expect(resumed.receipt.statistics).toEqual(whole.receipt.statistics);
    expect(resumed.bytes.equals(whole.bytes)).toBe(true);
    const changed = await run('percentiles', input, { tile, journal, statistics: other });
    expect(changed.receipt.warnings.join()).toMatch(/started over: .* another statistics/);
  });

  it('shares batches with images of other statistics, and has the result that it has alone', async () => {
    const images = [pattern(90, 80), { ...pattern(90, 80), data: pattern(90, 80).data.map((v) => v >> 2) }];
    const inputs = images.map((_, i) => join(folder, `gray-${i}.tif`));
    for (const [i, image] of images.entries()) await writeTestTiff(inputs[i]!, image, { compression: 8 });
    const tile = { width: 36, height: 36 };
    const alone = [await run('gray', inputs[0]!, { tile }), await run('gray', inputs[1]!, { tile })];
    const together = await Promise.all(inputs.map((input) => run('gray', input, { tile })));
    for (const [i, { bytes }] of together.entries()) expect(bytes.equals(alone[i]!.bytes)).toBe(true);
    expect(alone[0]!.bytes.equals(alone[1]!.bytes)).toBe(false);
  });

  it('that is a stack has those of each plane, which is as it is alone; given ones hold for all planes', async () => {
    const planes = [2, 1, 3].map((shift) => {
      const { data, ...size } = pattern(90, 80);
      return { ...size, data: data.map((value) => value >> shift) };
    });
    const path = join(folder, 'planes.tif');
    await writeTestTiff(path, planes, { compression: 8 });
    const tile = { width: 36, height: 36 };
    const stack = await run('gray', path, { tile, choice: { z: 'all' } });
    const alone = await Promise.all(planes.map((_, page) => run('gray', path, { tile, choice: { page } })));
    expect(stack.bytes.equals(Buffer.concat(alone.map(({ bytes }) => bytes)))).toBe(true);
    const [first, second] = alone.map(({ receipt }) => receipt.statistics!.channels);
    expect(first).not.toEqual(second);
    expect(stack.receipt.statistics).toMatchObject({ channels: first, ofEachPlane: true });
    const statistics = { given: [{ channel: null, values: [60, 20] }] };
    const given = await run('gray', path, { tile, choice: { z: 'all' }, statistics });
    const [, other] = await Promise.all(
      planes.map((_, page) => run('gray', path, { tile, choice: { page }, statistics })),
    );
    const { length } = other!.bytes;
    expect(given.bytes.subarray(length, 2 * length).equals(other!.bytes)).toBe(true);
    expect(given.receipt.statistics!.ofEachPlane).toBe(false);
  });

  it('of colours is normalised by the statistics of its luminance', async () => {
    const rgb = pattern(60, 50, 3);
    const path = join(folder, 'rgb.tif');
    await writeTestTiff(path, rgb, { compression: 8 });
    const { receipt } = await run('gray', path);
    const gray = Array.from(
      { length: 3000 },
      (_, i) => 0.299 * rgb.data[3 * i]! + 0.587 * rgb.data[3 * i + 1]! + 0.114 * rgb.data[3 * i + 2]!,
    );
    const [mean] = receipt.statistics!.channels[0]!.values;
    expect(mean).toBeCloseTo(gray.reduce((sum, value) => sum + value, 0) / 3000, 3);
    expect(receipt).toMatchObject({ channels: 'luminance', statistics: { channels: [{ name: 'gray' }] } });
  });
});

it('an image of any values is shown in its own contrast, below its mask', async () => {
  const data = Float32Array.from(pattern(60, 50).data, (value) => 3000 + 10 * value);
  const input = join(folder, 'bright.tif');
  await writeTestTiff(input, { width: 60, height: 50, channels: 1, data }, { compression: 1, format: 3 });
  const path = join(folder, 'overlay.png');
  await run('gray', input, { results: [{ output: 'overlay', format: 'png', path }] });
  const { data: shown } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  expect([Math.min(...shown) < 40, Math.max(...shown) > 215, new Set(shown).size > 50]).toEqual([
    true,
    true,
    true,
  ]);
});

describe('statistics of an image are refused', () => {
  it.each([
    ['plain', { statistics: { level: 0 } }, 'model plain normalises without statistics of the image'],
    ['percentiles', { statistics: { level: 2 } }, 'there is no level 2: expected one from 0 to 0'],
    [
      'percentiles',
      { choice: { range: [0, 9] as const } },
      /model percentiles normalises stored values by itself/,
    ],
    [
      'both',
      { statistics: { given: [{ channel: 'CD4', values: [0, 1] }] } },
      'the model has no channel "CD4"',
    ],
    [
      'both',
      { statistics: { given: [{ channel: null, values: [0, 1] }] } },
      'expected 4 numbers of channel DAPI',
    ],
    [
      'percentiles',
      { statistics: { given: [{ channel: '0', values: [0, 1] }] } },
      'numbers of channel 1 once',
    ],
    ['percentiles', { statistics: { given: [{ channel: null, values: [9, 1] }] } }, '9 is above 1'],
  ])('of model %s: %j', async (model, more, reason) => {
    const input = await writeMarkers(join(folder, 'refused.ome.tif'), ORDER);
    await expect(run(model, input, more as never)).rejects.toThrow(reason);
  });

  it('where a value is no number, with its place, also where they are given', async () => {
    const data = Float32Array.from(pattern(60, 50).data);
    data[31 * 60 + 7] = Number.NaN;
    const path = join(folder, 'nan.tif');
    await writeTestTiff(path, { width: 60, height: 50, channels: 1, data }, { compression: 1, format: 3 });
    for (const statistics of [undefined, { given: [{ channel: null, values: [100, 10] }] }]) {
      await expect(run('gray', path, { statistics } as never)).rejects.toThrow('NaN at column 7, row 31');
    }
  });
});
