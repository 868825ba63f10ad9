import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../server/jobs/view.js';
import { testFolder } from '../support/files.js';
import { testServer, unseam } from '../support/product.js';
import { pattern } from '../support/rasters.js';
import { writeTestTiff } from '../support/tiff.js';

const folder = await testFolder();
const disk = join(folder, 'disk');

/** A small disk of its own, where the system lets us have one. */
const mounted = (() => {
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', disk], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!mounted)('a disk that fills', () => {
  afterAll(() => void execFileSync('umount', [disk]));

  it('refuses what does not fit, fails the job that fills it, and breaks nothing else', async () => {
    await unseam(['samples', '-o', folder, '-s', '300x200']);
    const small = new Uint8Array(await readFile(join(folder, 'images', 'shapes-0001.png')));
    // Compressed it fits, unpacked and with its mask it does not; the other does not fit at all.
    const path = join(folder, 'large.tif');
    await writeTestTiff(path, pattern(2200, 1800), { compression: 8, tile: { width: 256, height: 256 } });
    const large = new Uint8Array(await readFile(path));
    const server = await testServer(disk);
    const post = (route: string, body: Uint8Array<ArrayBuffer>) =>
      fetch(`${server.url}${route}`, { method: 'POST', body });
    try {
      const upload = await post('/v1/segment?model=shapes', new Uint8Array(8_000_000));
      expect([upload.status, ((await upload.json()) as { type: string }).type]).toEqual([
        507,
        'urn:unseam:problem:disk-full',
      ]);
      expect(await readdir(join(disk, 'jobs'))).toEqual([]);

      // Probabilities are twelve times as large as what is sent.
      const accepted = await post('/v1/jobs?model=shapes&output=probabilities', large);
      const { links } = (await accepted.json()) as JobView;
      await (await fetch(`${server.url}${links.events}`)).text();
      const job = (await (await fetch(`${server.url}${links.self}`)).json()) as JobView;
      expect(job).toMatchObject({
        state: 'failed',
        error: { code: 'disk-full', detail: 'The disk is full' },
      });

      const mask = await post('/v1/segment?model=shapes', small);
      expect([mask.status, (await mask.arrayBuffer()).byteLength > 200]).toEqual([200, true]);
      // A disk that is full to its last byte takes no job, and the server goes on answering.
      await writeFile(join(disk, 'filler'), new Uint8Array(7_000_000)).catch(() => undefined);
      expect((await post('/v1/jobs?model=shapes', small)).status).toBe(507);
      expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
    } finally {
      await server.close();
    }
  });
});
