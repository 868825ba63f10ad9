import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { EngineModel } from '../../../model/engine/engine.js';
import { ModelShelf } from '../../../model/shelf/shelf.js';
import type { WorkSpec } from '../../../server/contract/job-spec.js';
import { parseParameters, planShape } from '../../../server/contract/parameters.js';
import { thresholdOf } from '../../../server/pipeline/model-options.js';
import type { TileChoice } from '../../../tiling/plan.js';
import { openImage } from '../../../tiling/sources/open.js';
import { testFolder } from '../../support/files.js';
import { MODELS, unseam } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { startSegmenter } from '../../support/segmenters.js';

const folder = await testFolder();
const input = join(folder, 'image.png');
const { data, width, height } = pattern(150, 130);
await sharp(data, { raw: { width, height, channels: 1 } })
  .toColourspace('b-w')
  .png()
  .toFile(input);

const model = (classes: number, threshold?: number, more: object = {}) =>
  ({
    card: { name: 'net', classes: Array(classes).fill({ name: 'a' }), threshold, ...more },
  }) as unknown as EngineModel;

describe('a threshold', () => {
  it('is the given probability, or that of the card', () => {
    expect(thresholdOf({ threshold: 0.3 }, model(2), 'labels')).toBe(0.3);
    expect(thresholdOf({ threshold: 'card' }, model(2, 0.7), 'labels')).toBe(0.7);
    expect(thresholdOf({ threshold: null }, model(3), 'labels')).toBe(null);
    expect(parseParameters(planShape.threshold, '0.3')).toBe(0.3);
    expect(() => parseParameters(planShape.threshold, '1')).toThrow(/probability between 0 and 1/);
  });

  it("is that of the model's postprocessing, unless another one is requested", () => {
    const postprocessing = [{ step: 'sigmoid' }, { step: 'threshold', value: 0.2 }];
    const own = (classes: number) => model(classes, undefined, { postprocessing });
    expect(thresholdOf({ threshold: null }, own(2), 'labels')).toBe(0.2);
    expect(thresholdOf({ threshold: 0.3 }, own(2), 'labels')).toBe(0.3);
    expect(thresholdOf({ threshold: null }, own(2), 'probabilities')).toBe(null);
    expect(thresholdOf({ threshold: null }, own(3), 'labels')).toBe(null);
  });

  it('is refused by name with other classes, with probabilities, and without one in the card', () => {
    expect(() => thresholdOf({ threshold: 0.3 }, model(3), 'labels')).toThrow(/net has 3: leave it out/);
    expect(() => thresholdOf({ threshold: 0.3 }, model(2), 'probabilities')).toThrow(/leave it out/);
    expect(() => thresholdOf({ threshold: 'card' }, model(2), 'labels')).toThrow(/card of net has none/);
  });

  it('is in the card of every bundled model with two classes, as written by training', async () => {
    const { cards } = await new ModelShelf(MODELS).survey();
    const chosen = cards
      .filter(({ classes }) => classes.length === 2)
      .map((card) => [card.name, card.threshold]);
    expect(chosen).toEqual([['em-membrane', 0.9]]);
  });
});

it('labels by threshold match the probabilities, for any tile', async () => {
  const { segmenter, close } = await startSegmenter(
    { modelsDir: MODELS, memory: 4e9, engine: { provider: 'cpu', threads: 1 } },
    { maxPixels: 1e6 },
  );
  const run = async (output: 'labels' | 'probabilities', threshold: number | null, tile: TileChoice) => {
    const path = join(folder, `${output}.tif`);
    const work: WorkSpec = {
      model: 'em-membrane',
      choice: {},
      tile,
      symmetries: false,
      threshold,
      scale: false,
      background: null,
    };
    const receipt = await segmenter.run({
      ...work,
      id: 'one',
      input,
      scratchDir: folder,
      journal: null,
      priority: 'normal',
      results: [{ output, format: 'tiff', path, simplify: 0 }],
      signal: new AbortController().signal,
    });
    const mask = await openImage(path, { scratchDir: folder, maxPixels: 1e6, values: 'stored' });
    const raster = await mask.readRegion({ x: 0, y: 0, width, height });
    await mask.close();
    return { receipt, data: raster.data };
  };
  try {
    const probabilities = await run('probabilities', null, 'auto');
    for (const tile of ['auto', { width: 140, height: 124 }] as const) {
      const { receipt, data: labels } = await run('labels', 0.2, tile);
      const expected = labels.map((_, at) => (probabilities.data[2 * at + 1]! >= Math.fround(0.2) ? 1 : 0));
      expect(Buffer.compare(Buffer.from(labels), Buffer.from(expected))).toBe(0);
      expect(receipt.threshold).toBe(0.2);
    }
  } finally {
    await close();
  }
});

it('the command line accepts a threshold, and its receipt states that of the card', async () => {
  const args = ['segment', input, '-o', join(folder, 'mask.png'), '-m', 'em-membrane', '--json'];
  const result = await unseam([...args, '--threshold', 'card']);
  expect(result).toMatchObject({ code: 0 });
  expect(JSON.parse(result.stdout)).toMatchObject({ threshold: 0.9 });
});
