import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import { type FakeServer, fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';

const folder = await testFolder();
const slide = fakeImage(900, 700);
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(join(folder, 'data'));
});
afterAll(() => server?.close());

const post = (path: string, headers: Record<string, string> = {}) =>
  fetch(`${server.url}${path}`, { method: 'POST', body: new Uint8Array(slide), headers });
const detailOf = async (response: Response) => ((await response.json()) as { detail: string }).detail;

describe('a request for a stack', () => {
  it('gets a TIFF by default, and is refused as a picture before its image is read', async () => {
    const answer = await post('/v1/segment?model=shapes&z=all');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'image/tiff']);
    const png = await post('/v1/segment?model=shapes&z=all', { accept: 'image/png' });
    expect([png.status, await detailOf(png)]).toEqual([
      406,
      'labels are sent as image/tiff, application/octet-stream or application/zip, not image/png',
    ]);
    for (const output of ['overlay', 'thumbnail', 'labels,overlay']) {
      const refused = await post(`/v1/jobs?model=shapes&z=all&output=${output}`);
      expect([refused.status, await detailOf(refused)]).toEqual([
        406,
        expect.stringContaining('is a picture of one plane: choose that with z and t'),
      ]);
    }
  });

  it('is refused by the name of a parameter that is no choice of planes', async () => {
    for (const z of ['4-0', '1,1', 'every', '-1', '0-', '2000000']) {
      const refused = await post(`/v1/jobs?model=shapes&z=${z}`);
      expect([refused.status, await detailOf(refused)], z).toEqual([
        400,
        expect.stringContaining('parameter "z": must be an index from 0, all, or a list'),
      ]);
    }
  });
});

describe('a job of a stack', () => {
  it('is viewed plane by plane, of those that it segments', async () => {
    const { id, image } = (await (await post('/v1/jobs?model=shapes&z=all')).json()) as JobView;
    expect(image.stack).toEqual({ z: '0', t: '0', sizeZ: 1, sizeT: 1 });
    await settledJob(server.url, id);
    const tile = (query: string) => fetch(`${server.url}/v1/jobs/${id}/mask_files/10/0_0.png?${query}`);
    expect([(await tile('')).status, (await tile('z=0&t=0')).status]).toEqual([200, 200]);
    const missing = await tile('z=3');
    expect([missing.status, await detailOf(missing)]).toEqual([
      404,
      'the job does not segment plane z 3: it segments 0',
    ]);
    expect((await tile('plane=3')).status).toBe(400);
    const picture = await fetch(`${server.url}/v1/jobs/${id}/result?output=thumbnail`);
    expect(picture.status).toBe(406);
  });

  it('is told from one of a plane, which has no others', async () => {
    const { id, image } = (await (await post('/v1/jobs?model=shapes&z=0')).json()) as JobView;
    expect(image.stack).toBeNull();
    await settledJob(server.url, id);
    const missing = await fetch(`${server.url}/v1/jobs/${id}/image_files/10/0_0.jpeg?z=1`);
    expect(missing.status).toBe(404);
  });
});
