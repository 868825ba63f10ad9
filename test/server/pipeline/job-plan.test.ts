import { describe, expect, it } from 'vitest';
import { arenaBytes } from '../../../model/engine/session-bytes.js';
import type { Card } from '../../../model/shelf/card.js';
import { planJob } from '../../../server/pipeline/job-plan.js';
import { maxConcurrentJobs, plannableBytes, sharedBytes } from '../../../server/pipeline/memory.js';
import { atModelScale, modelScale } from '../../../server/pipeline/model-scale.js';
import { type ImageFacts, withFacts } from '../../../tiling/source.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { even, pattern } from '../../support/rasters.js';

const geometry = { padded: even(0), tileable: true, halo: even(44), multiple: 8, smallest: 100 };
const card = {
  name: 'net',
  inputChannels: 1,
  micronsPerPixel: null,
  architecture: { channels: [16, 32] },
  classes: [{}, {}],
  weights: { bytes: 2e6 },
} as unknown as Card;
const choice = { tile: 640, batch: 500_000, lanes: 1, threads: 2, isMeasured: false };
const source = {
  size: { width: 3000, height: 2000 },
  facts: { channels: 1, channelNames: null, notes: ['alpha dropped'], dtype: 'uint8' as const, mpp: null },
};
/** The default image with the given properties. */
const imageOf = (facts: Partial<ImageFacts>) => ({ ...source, facts: { ...source.facts, ...facts } });
const GIB = 2 ** 30;
const whole = { width: 2000, height: 572 };

describe('planJob', () => {
  it('goes on with the tile of an earlier run for "auto", unless the model does not take it or it does not fit', () => {
    const preferred = { width: 348, height: 412 };
    const model = { card, geometry, exact: true, choice };
    const tileOf = (options: Partial<Parameters<typeof planJob>[2]>) =>
      planJob(source, model, { tile: 'auto', preferred, ...options }).plan.tile;
    const auto = tileOf({ preferred: null });
    expect(tileOf({})).toEqual(preferred);
    expect(tileOf({ tile: { width: 572, height: 572 } })).toEqual({ width: 572, height: 572 });
    expect(tileOf({ preferred: { width: 350, height: 412 } })).toEqual(auto);
    const memory = planJob(source, model, { tile: 'auto' }).memory;
    expect(tileOf({ preferred: { width: 8100, height: 8100 }, memory })).toEqual(auto);
  });

  it('plans batches of a GPU by its own memory, and the copies of them by that of the process', () => {
    const gpu = { card, geometry, exact: true, choice: { ...choice, batch: 8e6, threads: 1 } };
    const planOf = (gpuGib: number, memory = 4 * GIB) =>
      planJob(source, gpu, { tile: 'auto', memory, gpuBytes: gpuGib * GIB });
    expect(planOf(20)).toMatchObject({ choice: { batch: 8e6 } });
    expect(planOf(20).memory).toBeLessThan(2 * GIB);
    const small = planOf(1);
    expect(small.choice.batch).toBeGreaterThan(1e6);
    expect(arenaBytes(card, small.choice.batch)).toBeLessThan(GIB);
    expect(planOf(0.1).plan.tile.width).toBeLessThan(small.plan.tile.width);
    expect(() => planOf(0.001)).toThrow('of the GPU');
    expect(() => planOf(20, GIB / 4)).toThrow('raise --memory');
  });

  it.each([1, 1.25, 1.5, 1.75, 2, 3])(
    'leaves room for an interactive job beside a slide in %s GiB',
    (gib) => {
      const memory = gib * 2 ** 30;
      const planOf = (side: number, output: 'labels' | 'both') => {
        const image = { ...source, size: { width: side, height: side } };
        const lanes = { ...choice, tile: 1024, lanes: 2, threads: 1 };
        const reserved = memory - plannableBytes(memory);
        return planJob(
          image,
          { card, geometry, exact: true, choice: lanes },
          { tile: 'auto', memory, reserved, output },
        );
      };
      const small = planOf(512, 'labels');
      for (const output of ['labels', 'both'] as const) {
        const slide = planOf(60_000, output);
        const shared = Math.max(slide.computeMemory, small.computeMemory);
        expect(slide.jobMemory + small.jobMemory + shared).toBeLessThanOrEqual(sharedBytes(memory, 0));
      }
    },
  );

  it('uses the requested tile', () => {
    const { plan, conversion, warnings } = planJob(
      source,
      { card, geometry, exact: true, choice },
      { tile: { width: 572, height: 828 } },
    );
    expect([plan.tile, conversion, warnings]).toEqual([
      { width: 572, height: 828 },
      'none',
      ['alpha dropped'],
    ]);
  });

  it('uses one fixed tile size, with a warning, on a device where tiles disagree', () => {
    const inexact = { card, geometry, exact: false, choice };
    const tiles = (['whole', 'auto', { width: 572, height: 828 }] as const).map((tile) =>
      planJob(source, inexact, { tile }),
    );
    const others = planJob({ ...source, size: whole }, inexact, { tile: 'auto' });
    for (const { plan } of [...tiles, others]) expect(plan.tile).toEqual({ width: 604, height: 604 });
    const instead = expect.stringMatching(/^tiles of 604x604 px are used instead of the requested ones/);
    expect(tiles.map(({ warnings }) => warnings.slice(1))).toEqual([[instead], [], [instead]]);
  });

  it.each([
    [3, 1, 'luminance'],
    [1, 3, 'copied'],
    [3, 3, 'none'],
  ] as const)('gives an image of %i channels to a model of %i: %s', (channels, inputChannels, expected) => {
    const model = { card: { ...card, inputChannels }, geometry, exact: true, choice };
    expect(planJob(imageOf({ channels }), model, { tile: 'auto' }).conversion).toBe(expected);
  });

  it('refuses channels without a conversion', () => {
    const model = { card, geometry, exact: true, choice };
    expect(() => planJob(imageOf({ channels: 2 }), model, { tile: 'auto' })).toThrow(
      /2 channels, and model net takes 1/,
    );
    const stained = imageOf({ channels: 3, channelNames: ['DAPI', 'GFP', 'Cy5'] });
    expect(() => planJob(stained, model, { tile: 'auto' })).toThrow(
      /3 channels \(0 DAPI, 1 GFP, 2 Cy5\), and model net takes 1: select them with "channels", from 0 to 2, such as channels=/,
    );
  });
});

describe('memory', () => {
  const model = { card, geometry, exact: true, choice };

  it('determines the default tile size', () => {
    const tiles = [Number.POSITIVE_INFINITY, 0.75e9, 0.6e9].map((memory) =>
      planJob({ ...source, size: { width: 50_000, height: 50_000 } }, model, { tile: 'auto', memory }),
    );
    for (const [i, { memory }] of tiles.entries()) expect(memory).toBeLessThan([2e9, 0.75e9, 0.6e9][i]!);
    expect(tiles[2]!.plan.tile.width).toBeLessThan(tiles[0]!.plan.tile.width);
  });

  it('determines the number of lanes: fewer run large tiles', () => {
    const lanes = { ...model, choice: { ...choice, lanes: 4, threads: 1 } };
    const of = (side: number, memory: number) => {
      const tile = { width: side, height: side };
      const { lanes: count, threads } = planJob(source, lanes, { tile, memory }).choice;
      return [count, threads];
    };
    expect(of(572, 4e9)).toEqual([4, 1]);
    expect(of(1084, 2e9)).toEqual([2, 2]);
    expect(of(1084, 1.2e9)).toEqual([1, 4]);
  });

  it('refuses a tile that does not fit, with the required and available memory', () => {
    const wishes = { tile: 'whole', memory: 1e9 } as const;
    expect(() => planJob(source, model, wishes)).toThrow(
      /take about 3\.\d GB, and 1\.0 GB are allowed: take smaller tiles/,
    );
    expect(() => planJob(source, model, { tile: 'auto', memory: 1e8 })).toThrow(
      /100 MB are allowed: raise --memory$/,
    );
  });

  it('determines the number of concurrent jobs', () => {
    expect([4e8, 1e9, 2e9, 16e9].map(maxConcurrentJobs)).toEqual([1, 1, 2, 24]);
  });

  it('is independent of the image size', () => {
    const of = (side: number) =>
      planJob({ ...source, size: { width: side, height: side } }, model, { tile: 'auto' }).memory;
    expect(of(100_000)).toBeLessThan(of(10_000) * 1.05);
  });
});

describe('pixel size', () => {
  const known = { card: { ...card, micronsPerPixel: 0.5 }, geometry, exact: true, choice };

  it('causes a warning if the model was trained at another', () => {
    const { warnings } = planJob(imageOf({ mpp: { x: 0.25, y: 0.25 } }), known, { tile: 'auto' });
    expect(warnings[1]).toMatch(/0.25 µm per pixel, and the model was trained at 0.5/);
    expect(planJob(imageOf({ mpp: { x: 0.45, y: 0.45 } }), known, { tile: 'auto' }).warnings.length).toBe(1);
  });

  it("is scaled to the model's from the nearest level that is not coarser", () => {
    const image = memorySource(pattern(400, 300));
    const overviews = [memorySource(pattern(200, 150)), memorySource(pattern(100, 75))];
    const at = (mpp: number) => {
      const slide = { ...withFacts(image, { mpp: { x: mpp, y: mpp } }), overviews };
      const scale = modelScale(slide, known);
      return { level: scale.level, source: atModelScale(slide, scale) };
    };
    expect(at(0.25)).toMatchObject({
      level: 1,
      source: { size: { width: 200, height: 150 }, facts: { mpp: { x: 0.5 } } },
    });
    expect(at(0.2)).toMatchObject({ level: 1, source: { size: { width: 160, height: 120 } } });
    expect(at(0.1)).toMatchObject({ level: 2, source: { size: { width: 80, height: 60 } } });
    expect(at(1)).toMatchObject({ level: 0, source: { size: { width: 800, height: 600 } } });
    expect(() => at(100)).toThrow(/set mpp \(--mpp\) to the true pixel size/);
    expect(() => modelScale(image, known)).toThrow(/the image states no pixel size/);
    expect(() => modelScale(image, { card })).toThrow(/the card of model .* states no pixel size/);
  });
});
