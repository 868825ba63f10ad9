import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { PredictBatch } from '../../../model/engine/predict-batch.js';
import type { GraphUse } from '../../../model/exactness/self-test.js';
import { TilingTests } from '../../../model/exactness/tiling-tests.js';
import { testFolder } from '../../support/files.js';
import { even } from '../../support/rasters.js';

const geometry = { halo: even(1), padded: even(0), multiple: 2, smallest: 4, tileable: true };
const environment = { provider: 'cuda', versions: {} } as never;
const model = { digest: 'a', geometry, environment };
const other = { digest: 'b', geometry, environment };
const use: GraphUse = { output: 'probabilities', symmetries: false, channels: 1 };

/** A network whose probability is everywhere the same, which is exact. */
const predict: PredictBatch = async ({ count, width, height }) =>
  new Float32Array(2 * count * (width - 2) * (height - 2)).fill(0.5);

const open = (path: string | null) => new TilingTests({ provider: 'cuda', threads: 1 }, path);

describe('tests of tiles', () => {
  it('are made once, and their outcomes, and those of shapes, outlive the process', async () => {
    const path = join(await testFolder(), 'self-tests.json');
    const shape = { width: 8, height: 8, count: 2 };
    const tests = open(path);
    await tests.tiling(model, use, 1, predict);
    await tests.shape(model, use, shape, predict);
    const later = open(path);
    expect(await later.known(model, use, 1)).toEqual({ exact: true, largestDifference: 0 });
    expect(await later.knownShape(model, use, shape)).toEqual({
      exact: true,
      largestDifference: 0,
      repeats: true,
    });
  });

  it('never forget that a graph is not exact, however many shapes are tested after that', async () => {
    const tests = open(null);
    await tests.tiling(model, use, 1, predict);
    await tests.refute(model, use, 1e-6);
    for (let i = 0; i < 1001; i++) {
      await tests.shape(other, use, { width: 4 + 2 * i, height: 4, count: 1 }, predict);
    }
    expect(await tests.known(model, use, 1)).toEqual({ exact: false, largestDifference: 1e-6 });
  });
});
