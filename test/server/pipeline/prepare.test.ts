import { describe, expect, it } from 'vitest';
import type { TestedModel } from '../../../model/engine/engine.js';
import type { ShapeChoice } from '../../../server/pipeline/batch-shapes.js';
import { type PreparedJob, withTestedShapes } from '../../../server/pipeline/prepare.js';

/** Plans a job: of the requested tile, or of the one that a model has which is not exact. */
function prepare({
  exact,
  largestDifference,
}: Pick<TestedModel, 'exact' | 'largestDifference'>): PreparedJob {
  const tile = exact ? 'requested' : 'fixed';
  const choice = { tile: 512, batch: 8e6, lanes: 1, threads: 1, isMeasured: false };
  const job = { model: { exact, largestDifference }, choice, plan: { tile }, repeatable: true, warnings: [] };
  return job as unknown as PreparedJob;
}
const planned = prepare({ exact: true, largestDifference: 0 });
const inexact: ShapeChoice = { exact: false, largestDifference: 1e-6 };

describe('a job whose shapes are tested', () => {
  it('is as it was planned on a CPU', async () => {
    expect(await withTestedShapes(prepare, planned, async () => null)).toBe(planned);
  });

  it('has the sizes that passed', async () => {
    const sizes = () => [1, 4];
    const test = async () => ({ exact: true, largestDifference: 0, sizes });
    expect(await withTestedShapes(prepare, planned, test)).toEqual({ ...planned, sizes });
  });

  it('is planned anew where one of them differs, with batches of one size', async () => {
    const test = async ({ model }: PreparedJob) =>
      model.exact ? inexact : { ...inexact, largestDifference: 1e-5, batch: 4e6 };
    expect(await withTestedShapes(prepare, planned, test)).toMatchObject({
      model: { exact: false, largestDifference: 1e-5 },
      plan: { tile: 'fixed' },
      choice: { batch: 4e6 },
    });
  });

  it('says where batches of one tile do not repeat', async () => {
    const test = async () => ({ ...inexact, batch: 1e6, repeats: false });
    expect(await withTestedShapes(prepare, prepare(inexact), test)).toMatchObject({
      repeatable: false,
      warnings: [expect.stringContaining('does not compute the same bits each time')],
    });
  });
});
