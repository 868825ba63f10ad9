import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { testServer, unseamHere } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';
import { mountSmallDisk, unmount } from '../../support/small-disk.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const disk = join(folder, 'disk');

const mounted = mountSmallDisk(disk, 12 * 1024);

describe.skipIf(!mounted)('a disk that fills', () => {
  afterAll(() => unmount(disk));

  it('refuses oversized jobs, pauses the job that fills it until space is free, and affects no other', async () => {
    await unseamHere(['samples', '-o', folder, '-s', '300x200']);
    const small = new Uint8Array(await readFile(join(folder, 'images', 'shapes-0001.png')));
    // The compressed file fits, but not its pixels and mask; the other does not fit at all.
    const path = join(folder, 'large.tif');
    await writeTestTiff(path, pattern(400, 700), { compression: 8, tile: { width: 256, height: 256 } });
    const large = new Uint8Array(await readFile(path));
    const recovery = { retryMs: [10], probeMs: { first: 20, last: 50 } };
    const server = await testServer(disk, { recovery });
    const bytes = async (response: Response) => Buffer.from(await response.arrayBuffer());
    const post = (route: string, body: Uint8Array<ArrayBuffer>) =>
      fetch(`${server.url}${route}`, { method: 'POST', body });
    try {
      const upload = await post('/v1/segment?model=shapes', new Uint8Array(20_000_000));
      expect([upload.status, ((await upload.json()) as { type: string }).type]).toEqual([
        507,
        'urn:unseam:problem:disk-full',
      ]);
      expect(await readdir(join(disk, 'jobs'))).toEqual([]);

      // Probabilities are twelve times as large as the upload: their journal and file do not fit next to this filler.
      const filler = join(disk, 'filler');
      await writeFile(filler, new Uint8Array(8_500_000));
      const accepted = await post('/v1/jobs?model=shapes&output=probabilities&tile=188', large);
      const { id, links } = (await accepted.json()) as JobView;
      const job = async () => (await (await fetch(`${server.url}${links.self}`)).json()) as JobView;
      await settledJob(server.url, id);
      expect(await job()).toMatchObject({
        state: 'paused',
        pause: { code: 'disk-full', detail: 'Disk full' },
      });
      const { tilesDone, tiles } = (await job()).progress!;
      expect(tilesDone).toBeLessThan(tiles);
      expect((await readdir(join(disk, 'jobs', id))).sort()).toEqual(['bands', 'job.json', 'upload']);

      // Space is freed: the job resumes automatically, and recomputes no finished band.
      await rm(filler);
      await (await fetch(`${server.url}${links.events}`)).text();
      const ended = await job();
      expect(ended).toMatchObject({ state: 'succeeded', pause: null });
      expect(ended.progress!.tilesReplayed).toBeGreaterThan(0);
      const result = await fetch(`${server.url}${ended.results[0]!.href}`).then(bytes);
      await fetch(`${server.url}${links.self}`, { method: 'DELETE' });
      const once = await post('/v1/segment?model=shapes&output=probabilities', large).then(bytes);
      expect(result.equals(once)).toBe(true);

      const mask = await post('/v1/segment?model=shapes', small);
      expect([mask.status, (await mask.arrayBuffer()).byteLength > 200]).toEqual([200, true]);
      // With a completely full disk, jobs are refused and the server keeps responding.
      await writeFile(join(disk, 'filler'), new Uint8Array(17_000_000)).catch(() => undefined);
      expect((await post('/v1/jobs?model=shapes', small)).status).toBe(507);
      expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    } finally {
      await server.close();
    }
  });
});
