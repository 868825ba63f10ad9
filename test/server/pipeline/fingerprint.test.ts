import { utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { TestedModel } from '../../../model/engine/engine.js';
import { fingerprintOf, restartWarning, tileOf } from '../../../server/pipeline/fingerprint.js';
import type { SegmentJob } from '../../../server/pipeline/segment-job.js';
import { planTiles } from '../../../tiling/plan.js';
import { planesOf } from '../../../tiling/planes.js';
import { testFolder } from '../../support/files.js';
import { even } from '../../support/rasters.js';

const folder = await testFolder();
const [input, mask] = [join(folder, 'image.tif'), join(folder, 'tissue.png')];
await writeFile(input, 'pixels');
await writeFile(mask, 'tissue');
const written = new Date('2026-01-01T00:00:00Z');
const later = new Date('2026-01-02T00:00:00Z');

const rule = { halo: even(4), multiple: 4, smallest: 12 };
const environment = {
  provider: 'cpu',
  cpu: 'one',
  instructionSet: 'avx2',
  channelBlock: 8,
  versions: { unseam: '1.0.0', 'onnxruntime-node': '1.30.0' },
};
const card = { name: 'net', classes: [{}, {}], normalisation: { range: [0, 255] } };

interface Case {
  readonly model?: object;
  readonly environment?: object;
  readonly job?: object;
  readonly side?: number;
  /** Px of a batch. */
  readonly batch?: number;
  /** Modification times of the image and the mask. */
  readonly times?: readonly [Date, Date];
  /** How many planes a stack has of which all are chosen. Default: no stack. */
  readonly depth?: number;
}

async function fingerprint({
  model,
  environment: other,
  job,
  side = 40,
  batch = 500_000,
  times,
  depth,
}: Case): Promise<string> {
  const [image, tissue] = times ?? [written, written];
  await utimes(input, image, image);
  await utimes(mask, tissue, tissue);
  const choice = { tile: 640, batch: 500_000, lanes: 2, threads: 1, isMeasured: false };
  const given = {
    digest: 'a',
    card,
    exact: true,
    choice,
    environment: { ...environment, ...other },
    ...model,
  };
  const work = { model: 'net', choice: {}, tile: 'auto', symmetries: false, scale: false };
  const whole = { ...work, input, background: { mask }, results: [{ output: 'labels' }], ...job };
  return fingerprintOf({ ...whole, signal: new AbortController().signal } as unknown as SegmentJob, {
    model: given as unknown as TestedModel,
    plan: planTiles({ width: 300, height: 200 }, { tile: { width: side, height: side }, rule }),
    output: 'labels',
    threshold: null,
    choice: { ...choice, batch },
    planes: depth ? planesOf({ z: 'all' }, { sizeZ: depth, sizeT: 1 }) : null,
    statistics: null,
  });
}

describe('the fingerprint of bands', () => {
  it.each<[string, string, Case]>([
    ['the weights', 'network', { model: { digest: 'b' } }],
    ['the normalisation', 'network', { model: { card: { ...card, normalisation: null } } }],
    ['the processor', 'device', { environment: { cpu: 'another', instructionSet: 'avx512' } }],
    ['the threads where tiles do not agree', 'device', { model: { exact: false } }],
    ['the version of unseam', 'versions', { environment: { versions: { unseam: '1.0.1' } } }],
    ['the image', 'image', { times: [later, written] }],
    ['the date of the tissue mask', 'tissue', { times: [written, later] }],
    ['the tiles', 'plan', { side: 48 }],
    ['the requested options', 'request', { job: { symmetries: true } }],
  ])('includes %s: bands of another are recomputed, with the reason', async (_, part, change) => {
    const [before, now] = [await fingerprint({}), await fingerprint(change)];
    expect(await fingerprint({})).toBe(before);
    expect(restartWarning({ reason: null, key: before }, now)).toBe(
      `the job started over: the bands of its earlier run were discarded (of another ${part})`,
    );
  });

  it('does not include lanes and threads where tiles agree: a job resumes with others', async () => {
    const choice = { tile: 640, batch: 500_000, lanes: 1, threads: 8 };
    expect(await fingerprint({ model: { choice } })).toBe(await fingerprint({}));
  });

  it('includes the size of batches on a GPU where tiles do not agree', async () => {
    const of = (exact: boolean, batch: number) =>
      fingerprint({ environment: { gpu: {} }, model: { exact }, batch });
    expect(await of(false, 1)).not.toBe(await of(false, 2));
    expect(await of(true, 1)).toBe(await of(true, 2));
  });

  it('includes the planes of a stack, which may have more of them than before', async () => {
    const [three, four] = [await fingerprint({ depth: 3 }), await fingerprint({ depth: 4 })];
    expect(restartWarning({ reason: null, key: three }, four)).toMatch(/of another stack\)$/);
    expect(await fingerprint({})).not.toContain('stack'); // journals of an image alone are as they were
  });

  it('names the tile, with which a job goes on', async () => {
    expect(tileOf(await fingerprint({ side: 44 }))).toEqual({ width: 44, height: 44 });
    for (const text of ['', '{}', '{"plan":{"tile":"big"}}', '[1]']) expect(tileOf(text)).toBeNull();
  });
});
