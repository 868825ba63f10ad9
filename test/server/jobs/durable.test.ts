import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { type FileHandle, open, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ModelShelf } from '../../../model/shelf/shelf.js';
import type { JobSpec } from '../../../server/contract/job-spec.js';
import { Jobs } from '../../../server/jobs/jobs.js';
import type { NewJob } from '../../../server/jobs/new-job.js';
import { JobStore } from '../../../server/jobs/store.js';
import { createMetrics } from '../../../server/metrics/metrics.js';
import type { Readers } from '../../../server/readers/readers.js';
import type { WorkerClient } from '../../../server/worker/client.js';
import { testFolder } from '../../support/files.js';

const root = await testFolder();
/** The synced files in order; for a record also its state, and whether its journal existed. */
const synced: string[] = [];
let restore = () => {};

beforeAll(async () => {
  const file = await open(join(root, 'any'), 'w');
  const handles = Object.getPrototypeOf(file) as FileHandle;
  await file.close();
  const { sync, datasync } = handles;
  const observed = (kept: typeof sync) =>
    async function (this: FileHandle) {
      const path = readlinkSync(`/proc/self/fd/${this.fd}`);
      const name = basename(path);
      if (name.startsWith('job.json')) {
        const { state } = JSON.parse(readFileSync(path, 'utf8')) as { state: string };
        const journal = existsSync(join(dirname(path), 'bands')) ? ' with its journal' : '';
        synced.push(`record: ${state}${journal}`);
      } else synced.push(name.length === 36 ? 'folder' : name);
      await kept.call(this);
    };
  Object.assign(handles, { sync: observed(sync), datasync: observed(datasync) });
  restore = () => Object.assign(handles, { sync, datasync });
});
afterAll(() => restore());

const WORK = {
  request: {
    model: 'shapes/1',
    choice: {},
    tile: 'auto',
    symmetries: false,
    scale: false,
    background: null,
    outputs: [{ output: 'labels', format: 'tiff' }],
    simplify: 0,
  },
  source: { kind: 'upload', name: null, bytes: 3 },
  facts: {
    image: { width: 8, height: 8, channels: 1, dtype: 'uint8', mpp: null },
    plan: {
      tile: '8x8',
      halo: { top: 0, left: 0, bottom: 0, right: 0 },
      stride: '8x8',
      tiles: 1,
      haloShare: 0,
    },
    expected: { diskBytes: 128 },
  },
  priority: 'normal',
  idempotency: null,
} as unknown as Omit<NewJob, 'id' | 'isAwaited'>;

/** Writes a result and a journal, and closes both. */
const worker = {
  device: null,
  async run({ results, journal }: JobSpec) {
    await writeFile(results[0]!.path, 'mask');
    await writeFile(journal!, 'bands');
    return { model: { name: 'shapes', version: 1, sha256: '' }, exact: true, stagesMs: {} };
  },
} as unknown as WorkerClient;

it.skipIf(process.platform !== 'linux')(
  'files are synced before the record that refers to them, and the journal is removed last',
  async () => {
    const { store, ...stored } = await JobStore.open(root);
    const jobs = new Jobs(
      {
        store,
        worker,
        metrics: createMetrics({}),
        log: pino({ level: 'silent' }),
        readers: {} as Readers,
        shelf: new ModelShelf('models'),
        concurrency: 1,
        limits: { places: { interactive: 10, normal: 10, bulk: 10 }, ownerJobs: null, ownerPixels: null },
        resultKeys: null,
        responseCacheBytes: 0,
        keepMs: 1e9,
        now: Date.now,
      },
      stored,
    );
    const { id, folder } = await store.create();
    await writeFile(join(folder, 'upload'), 'png');
    synced.length = 0;
    await jobs.submit({ ...WORK, id, isAwaited: false }, async () => {});
    await jobs.wait(id);
    expect(synced).toEqual([
      ...['upload', 'folder', 'jobs', 'record: queued', 'folder'],
      ...['record: running', 'folder'],
      ...['labels.tif', 'folder', 'record: succeeded with its journal', 'folder'],
    ]);
    expect(readdirSync(folder).sort()).toEqual(['job.json', 'labels.tif', 'upload']);

    // Jobs bound to a request are not recorded, and cost no sync.
    const awaited = await store.create();
    synced.length = 0;
    await jobs.submit({ ...WORK, id: awaited.id, isAwaited: true }, async () => {});
    await jobs.wait(awaited.id);
    expect(synced).toEqual([]);
    await jobs.close();
  },
);
