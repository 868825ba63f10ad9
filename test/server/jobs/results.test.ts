import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ModelShelf } from '../../../model/shelf/shelf.js';
import type { JobRecord } from '../../../server/jobs/job.js';
import { JobResults } from '../../../server/jobs/results.js';
import { JobStore } from '../../../server/jobs/store.js';
import type { Readers } from '../../../server/readers/readers.js';
import { DiskAccount, NO_LIMITS } from '../../../server/storage/disk-account.js';
import { testFolder } from '../../support/files.js';

type Derive = Readers['derive'];
type Tile = Readers['tile'];

const noTile: Tile = () => Promise.reject(new Error('no tile'));

/** A job with a mask, and what derives results of it: in a process of its own, whose faults cannot be caused here. */
async function jobWith(derive: Derive, tile = noTile) {
  const account = new DiskAccount(NO_LIMITS);
  const { store } = await JobStore.open(await testFolder(), account);
  const { id, folder } = await store.create();
  await writeFile(join(folder, 'labels.tif'), 'mask');
  const record = {
    id,
    owner: 'anonymous',
    state: 'succeeded',
    source: { kind: 'path', path: '/a.tif', name: 'a.tif' },
    image: { width: 1, height: 1 },
    request: { model: 'shapes', outputs: [{ output: 'labels', format: 'tiff' }] },
  } as unknown as JobRecord;
  const readers = { derive, tile, evict: async () => undefined };
  const shelf = { find: async () => ({ card: {} }) } as unknown as ModelShelf;
  const results = new JobResults(store, { preview: async () => null }, readers, shelf);
  return { results, record, store, account, folder };
}

/** What a Zarr is written into until it is whole. */
async function writeDraft(path: string): Promise<void> {
  await mkdir(`${path}.files.partial/labels`, { recursive: true });
  await writeFile(`${path}.files.partial/labels/0`, 'chunk');
}

it('a derivation that fails leaves nothing of its result', async () => {
  const { results, record, folder } = await jobWith(async (_spec, _card, _mask, [result]) => {
    await writeDraft(result!.path);
    throw new Error('it was killed');
  });
  await expect(results.get(record, 'labels', 'zarr')).rejects.toThrow('it was killed');
  expect(await readdir(folder)).toEqual(['labels.tif']);
});

it('a job that is removed ends what is derived of it, and has nothing on the disk afterwards', async () => {
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const { results, record, store, account } = await jobWith(
    (_spec, _card, _mask, [result], { removal }) =>
      new Promise((_, reject) => {
        const fail = () => writeDraft(result!.path).then(() => reject(removal.reason), reject);
        removal.addEventListener('abort', fail);
        begin();
      }),
  );
  await store.measure(record);
  expect(account.total).toBe(4);
  const derived = results.get(record, 'labels', 'zarr').catch(({ code }) => code);
  await begun;
  let later: unknown;
  await results.withdraw(record.id, async () => {
    later = await results.get(record, 'labels', 'zarr').catch(({ code }) => code);
    await store.remove(record.id);
  });
  expect([await derived, later]).toEqual(['not-found', 'not-found']);
  expect(await readdir(join(store.root, 'jobs'))).toEqual([]);
  expect(account.total).toBe(0);
});

it('a job that is removed ends what viewers wait for, and opens nothing for them again', async () => {
  let opened = 0;
  let begin = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const tile: Tile = (_spec, _card, _mask, _tile, { removal }) =>
    new Promise((_, reject) => {
      opened++;
      removal.addEventListener('abort', () => reject(removal.reason));
      begin();
    });
  const { results, record } = await jobWith(async () => undefined, tile);
  const view = () => results.tile(record, 'image', { level: 0, column: 0, row: 0 }).catch(({ code }) => code);
  const viewed = view();
  await begun;
  let later: unknown;
  await results.withdraw(record.id, async () => {
    later = await view();
  });
  expect([await viewed, later, opened]).toEqual(['not-found', 'not-found', 1]);
});

it('what folders hold counts for the disk of their job', async () => {
  const { record, store, account, folder } = await jobWith(async () => undefined);
  await writeDraft(join(folder, 'labels.ozx'));
  await symlink(join(folder, 'none'), join(folder, 'gone')); // as a file that is removed meanwhile
  await store.measure(record, 100);
  expect(account.total).toBe('mask'.length + 'chunk'.length + 100);
});
