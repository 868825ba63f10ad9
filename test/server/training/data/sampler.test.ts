import { describe, expect, it } from 'vitest';
import { AUGMENTATIONS, NO_AUGMENTATION } from '../../../../model/train/augment.js';
import { borderWeights } from '../../../../model/train/weight-map.js';
import { countLabels, LabelCodec } from '../../../../server/training/data/labels.js';
import { Sampler, type SamplerOptions } from '../../../../server/training/data/sampler.js';
import { memorySource } from '../../../../tiling/sources/memory.js';
import { even, pattern } from '../../../support/rasters.js';

const size = 40;
const image = pattern(size, size);
// labels that follow the image: bright pixels are class 1
const labels = { ...image, data: Uint8Array.from(image.data, (v) => (v > 127 ? 1 : 0)) };
const counts = new Map<number, number>();
countLabels(labels, counts);
const codec = new LabelCodec({ classes: 2, ignore: null, legend: null }, counts);
const pair = { stem: 'one', image: memorySource(image), labels: memorySource(labels) };
const sampler = (change: Partial<SamplerOptions> = {}, pairs = [pair]) =>
  Sampler.create(
    pairs,
    { codec, labelBorder: 'reflect' },
    {
      tile: 28,
      halo: even(6),
      batch: 3,
      epochSteps: null,
      seed: 1,
      augmentation: NO_AUGMENTATION,
      classWeights: [1, 4],
      border: null,
      ...change,
    },
  );

/** The expected label of a pixel of the crop's image, in the middle that the labels cover. */
function expectedLabels(pixels: Float32Array): Uint8Array {
  return Uint8Array.from({ length: 16 * 16 }, (_, at) => {
    const [x, y] = [6 + (at % 16), 6 + Math.floor(at / 16)];
    return pixels[y * 28 + x]! > 0.5 ? 1 : 0;
  });
}

describe('crops', () => {
  it.each([
    ['unaugmented', NO_AUGMENTATION],
    ['rotated and mirrored', { ...AUGMENTATIONS.dihedral, brightness: 0, contrast: 0 }],
  ])('%s: labels lie under their pixels, weights are their classes’', async (_name, augmentation) => {
    const sampled = await sampler({ augmentation });
    for (let step = 0; step < 5; step++) {
      const { pixels, labels: found, weights, count } = await sampled.batch(2, step);
      for (let i = 0; i < count; i++) {
        const part = found.subarray(i * 256, (i + 1) * 256);
        expect(part).toEqual(expectedLabels(pixels.subarray(i * 784, (i + 1) * 784)));
        expect(weights.subarray(i * 256, (i + 1) * 256)).toEqual(
          Float32Array.from(part, (l) => (l === 1 ? 4 : 1)),
        );
      }
    }
  });

  it('have labels aligned to their pixels after deformation, except between two classes', async () => {
    const smooth = { ...image, data: Uint8Array.from(image.data, (_, at) => (at % size) * 6) };
    const halves = { ...smooth, data: Uint8Array.from(smooth.data, (v) => (v > 127 ? 1 : 0)) };
    const own = { stem: 's', image: memorySource(smooth), labels: memorySource(halves) };
    const sampled = await sampler({ augmentation: { ...AUGMENTATIONS.paper, brightness: 0, contrast: 0 } }, [
      own,
    ]);
    for (let step = 0; step < 5; step++) {
      const { pixels, labels: found } = await sampled.batch(0, step);
      for (let at = 0; at < 256; at++) {
        const value = pixels[(6 + Math.floor(at / 16)) * 28 + 6 + (at % 16)]!;
        if (Math.abs(value - 0.5) > 0.05) expect(found[at]).toBe(value > 0.5 ? 1 : 0);
      }
    }
  });

  it('are deterministic for a seed, epoch and step, and differ between them', async () => {
    const augmentation = AUGMENTATIONS['isbi-2012'];
    const first = await (await sampler({ augmentation })).batch(3, 1);
    expect((await (await sampler({ augmentation })).batch(3, 1)).pixels).toEqual(first.pixels);
    expect((await (await sampler({ augmentation })).batch(3, 2)).pixels).not.toEqual(first.pixels);
    expect((await (await sampler({ augmentation })).batch(4, 1)).pixels).not.toEqual(first.pixels);
    expect((await (await sampler({ augmentation, seed: 2 })).batch(3, 1)).pixels).not.toEqual(first.pixels);
  });

  it('cover each image once per epoch, or as often as crops fit into it', async () => {
    const plain = (value: number, side: number) => {
      const raster = {
        data: new Uint8Array(side * side).fill(value),
        width: side,
        height: side,
        channels: 1,
      };
      return {
        stem: String(value),
        image: memorySource(raster),
        labels: memorySource({ ...raster, data: new Uint8Array(side * side) }),
      };
    };
    const sampled = await sampler({ batch: 1 }, [plain(10, 16), plain(20, 16), plain(30, 32)]);
    expect(sampled.epochSteps).toBe(6);
    const seen = [];
    for (let step = 0; step < 6; step++)
      seen.push(Math.round((await sampled.batch(0, step)).pixels[400]! * 255));
    expect(seen.sort()).toEqual([10, 20, 30, 30, 30, 30]);
  });
});

describe('border weights', () => {
  const border = { w0: 10, sigma: 3, live: false };

  it('are computed on the whole image, then cropped', async () => {
    const sampled = await sampler({ border, tile: 52, batch: 1 });
    const { labels: found, weights } = await sampled.batch(0, 0);
    const map = borderWeights(labels.data, size, size, border);
    expect(weights).toEqual(map.map((w, at) => w + (found[at] === 1 ? 4 : 1)));
  });

  it('are computed on the crop in live mode', async () => {
    const sampled = await sampler({ border: { ...border, live: true }, batch: 1 });
    const { labels: found, weights } = await sampled.batch(0, 0);
    const map = borderWeights(found, 16, 16, border);
    expect(weights).toEqual(map.map((w, at) => w + (found[at] === 1 ? 4 : 1)));
  });
});
