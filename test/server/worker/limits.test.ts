import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { TestedModel } from '../../../model/engine/engine.js';
import type { ImageHeader } from '../../../server/contract/image-header.js';
import type { JobSpec, PlanSpec } from '../../../server/contract/job-spec.js';
import { prepareJob } from '../../../server/pipeline/prepare.js';
import { runJob } from '../../../server/pipeline/run-job.js';
import type { SegmentJob } from '../../../server/pipeline/segment-job.js';
import { WorkerClient } from '../../../server/worker/client.js';
import type { WorkerLimits } from '../../../server/worker/limits.js';
import type { DeathCause } from '../../../server/worker/lost.js';
import { Preview } from '../../../tiling/sinks/preview.js';
import type { ImageSource } from '../../../tiling/source.js';
import { memorySource } from '../../../tiling/sources/memory.js';
import { testFolder } from '../../support/files.js';
import { MODELS } from '../../support/product.js';
import { even, pattern } from '../../support/rasters.js';

const folder = await testFolder();
const started: WorkerClient[] = [];
/** The reasons of worker exits in this test, and their causes. */
const lost: string[] = [];
const causes: DeathCause[] = [];

beforeAll(async () => {
  const { data, ...raw } = pattern(700, 500);
  await sharp(Buffer.from(data.buffer), { raw: { ...raw, channels: 1 } }).toFile(join(folder, 'image.png'));
  const png = await readFile(join(folder, 'image.png'));
  await writeFile(join(folder, 'cut.png'), png.subarray(0, png.length / 2));
  const mask = { create: { width: 300, height: 300, channels: 3 as const, background: '#fff' } };
  await writeFile(join(folder, 'mask.png'), await sharp(mask).png({ progressive: true }).toBuffer());
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((worker) => worker.stop()));
  lost.length = 0;
  causes.length = 0;
});

function worker(limits: Partial<WorkerLimits> = {}): WorkerClient {
  const engine = { provider: 'cpu', threads: 1, outcomes: join(folder, 'self-tests.json') } as const;
  const client = new WorkerClient(
    { modelHost: { modelsDir: MODELS, engine }, maxPixels: 1e9 },
    {
      onBatch: () => {},
      onTileCache: () => {},
      onLoad: () => {},
      onChoice: () => {},
      onTiling: () => {},
      onDevices: () => {},
      onLost: (why, cause) => {
        lost.push(why);
        causes.push(cause);
      },
    },
    { restartMs: { first: 20, last: 20 }, ...limits },
  );
  started.push(client);
  return client;
}
const isReady = (client: WorkerClient) =>
  expect.poll(() => client.unready, { interval: 10, timeout: 30_000 }).toBeNull();

const spec: PlanSpec = {
  model: 'shapes',
  input: join(folder, 'image.png'),
  scratchDir: folder,
  choice: {},
  tile: 'auto',
  symmetries: false,
  scale: false,
  background: null,
};
const header: ImageHeader = {
  size: { width: 700, height: 500 },
  facts: { channels: 1, dtype: 'uint8', channelNames: null, mpp: null, notes: [] },
  overviews: [],
};
const job: JobSpec = {
  ...spec,
  id: 'job',
  priority: 'normal',
  journal: null,
  results: [{ output: 'labels', format: 'png', path: join(folder, 'labels.png'), simplify: 0 }],
};
const run = (client: WorkerClient, more: Partial<JobSpec> = {}) => {
  const listener = { onStage: () => {}, onProgress: () => {} };
  return client.run({ ...job, ...more }, listener, new AbortController().signal).then(
    () => 'done',
    (error: unknown) => error,
  );
};

describe('an image that does not open', () => {
  it('gets its worker terminated after a time limit, and its job blamed', async () => {
    expect(await run(worker({ openMs: 1, openFactor: 0 }))).toMatchObject({
      message: 'opening the image took longer than 0.001 s',
      blame: 'certain',
      loss: 'hang',
    });
    expect(causes).toEqual(['hang']);
  });

  it('has at least the time limit of its decoder, which depends on its size', async () => {
    const cut = { input: join(folder, 'cut.png'), size: { width: 20_000, height: 20_000 } };
    expect(await run(worker({ openMs: 1 }), cut)).toMatchObject({ code: 'corrupt-image' });
  });
});

describe('a tissue mask', () => {
  const image = memorySource(pattern(700, 500));
  const geometry = { padded: even(0), tileable: true, halo: even(44), multiple: 8, smallest: 100 };
  const choice = { tile: 640, batch: 0, lanes: 1, threads: 1 };
  const card = {
    name: 'net',
    inputChannels: 1,
    architecture: { channels: [16, 32] },
    classes: [{}, {}],
    weights: { bytes: 1 },
  };
  /** The outcome of a job with this mask; nothing is predicted. */
  const ended = (maxUnpackedBytes: number, watch?: SegmentJob['watch']) =>
    runJob(
      {
        ...job,
        background: { mask: join(folder, 'mask.png') },
        signal: new AbortController().signal,
        ...(watch && { watch }),
      },
      image,
      prepareJob(job, image, { card, geometry, exact: true, choice } as unknown as TestedModel, {
        output: 'labels',
        memory: 1e9,
      }),
      {
        predict: () => () => Promise.reject(new Error('the first tile')),
        preview: ({ size }) => new Preview(size),
        maxPixels: 1e9,
        maxUnpackedBytes,
      },
    ).catch((error: Error) => error.message);

  it('is unpacked within the limit of the server', async () => {
    expect(await ended(1 << 20)).toBe('the first tile');
    expect(await ended(100_000)).toMatch(/an interlaced PNG of 300 × 300 px/);
  });

  it('is timed like the image', async () => {
    const watched: Promise<ImageSource>[] = [];
    await ended(1 << 20, (opening) => {
      watched.push(opening);
      return opening;
    });
    expect(watched.length).toBe(1);
  });
});

describe('the exit of a worker', () => {
  it('is not blamed on its only job if there was also a plan, which loads models', async () => {
    const client = worker();
    await isReady(client);
    const pid = client.pid!;
    process.kill(pid, 'SIGSTOP');
    const running = run(client);
    client.plan(spec, header).catch(() => null); // it stays pending, since there is no next worker
    process.kill(pid, 'SIGKILL');
    expect(await running).toMatchObject({ blame: 'possible', loss: 'crash' });
  });

  it('is blamed on a job that ran in it alone', async () => {
    const client = worker();
    await isReady(client);
    const pid = client.pid!;
    process.kill(pid, 'SIGSTOP');
    const running = run(client);
    process.kill(pid, 'SIGKILL');
    expect(await running).toMatchObject({ blame: 'certain', loss: 'crash' });
  });
});

describe('an engine that is lost during a call', () => {
  it('terminates its worker, which is unusable without it', async () => {
    const fails =
      "import {isMainThread} from 'node:worker_threads'; if (!isMainThread) throw new Error('gone')";
    const { NODE_OPTIONS = '' } = process.env;
    process.env.NODE_OPTIONS = `${NODE_OPTIONS} --import=data:text/javascript,${encodeURIComponent(fails)}`;
    try {
      const client = worker();
      await expect(client.plan(spec, header)).rejects.toMatchObject({ code: 'engine-lost' });
      expect(lost[0]).toBe('the worker did not start: a lane of the engine failed: gone');
      expect(causes[0]).toBe('start');
    } finally {
      process.env.NODE_OPTIONS = NODE_OPTIONS;
    }
  });
});
