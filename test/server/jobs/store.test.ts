import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { JobRecord } from '../../../server/jobs/job.js';
import { JobStore } from '../../../server/jobs/store.js';
import { testFolder } from '../../support/files.js';

it('concurrent writes of a record are serialised, and the last one wins', async () => {
  const { store } = await JobStore.open(await testFolder());
  const { id, folder } = await store.create();
  // The longest first: interleaved writes would leave parts of it.
  const records = Array.from({ length: 8 }, (_, i) => ({ id, strikes: i, name: 'x'.repeat(1e5 >> i) }));
  const written = records.map((record) => store.write(record as unknown as JobRecord));
  const outcomes = await Promise.allSettled(written);
  expect(outcomes.map(({ status }) => status)).toEqual(records.map(() => 'fulfilled'));
  expect(JSON.parse(await readFile(join(folder, 'job.json'), 'utf8'))).toMatchObject(records.at(-1)!);
  expect(await readdir(folder)).toEqual(['job.json']);
});

it('removes a job with all that its folder holds', async () => {
  const root = await testFolder();
  const { store } = await JobStore.open(root);
  const { id, folder } = await store.create();
  await writeFile(join(folder, 'upload'), 'pixels');
  await store.remove(id);
  const other = await store.create();
  await writeFile(join(other.folder, 'upload'), 'pixels');
  await mkdir(join(other.folder, 'zarr', '0'), { recursive: true });
  await store.remove(other.id);
  await store.remove(other.id); // does nothing
  const known = await store.create();
  await writeFile(join(known.folder, 'upload'), 'pixels');
  await store.remove(known.id, ['upload']);
  const unknown = await store.create();
  await writeFile(join(unknown.folder, 'labels.png'), 'mask');
  await store.remove(unknown.id, ['upload']);
  expect(await readdir(join(root, 'jobs'))).toEqual([]);
});
