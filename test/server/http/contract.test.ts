import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OPERATIONS, type OperationName } from '../../../server/contract/operations.js';
import type { RunningServer } from '../../../server/serve.js';
import { expectDescribed } from '../../support/contract.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { testServer, unseamHere } from '../../support/product.js';

const folder = await testFolder();
let server: RunningServer;
let image: Uint8Array<ArrayBuffer>;
beforeAll(async () => {
  await unseamHere(['samples', '-o', folder, '-s', '200x150', '-n', '1']);
  image = new Uint8Array(await readFile(join(folder, 'images', 'shapes-0001.png')));
  server = await testServer(join(folder, 'data'), { slides: folder });
});
afterAll(() => server?.close());

const TUS = { 'tus-resumable': '1.0.0' };

/** Sends a request of an operation, and expects the contract to describe the response. */
async function send(name: OperationName, path: string, init: RequestInit = {}) {
  const { method } = OPERATIONS[name];
  const response = await fetch(server.url + path, { ...init, method: method.toUpperCase() });
  return { response, body: await expectDescribed(name, response) };
}
const json = (body: object): RequestInit => ({
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
});

describe('the contract describes', () => {
  it('a mask, a plan, and a job from its beginning to its end', async () => {
    const { response } = await send('segment', '/v1/segment?model=shapes', { body: image });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'image/png']);
    const headers = { prefer: 'respond-async' };
    expect(
      (await send('segment', '/v1/segment?model=shapes', { body: image, headers })).response.status,
    ).toBe(202);
    await send('plan', '/v1/plan?model=shapes', { body: image });
    const again = { body: image, headers: { 'idempotency-key': 'a' } };
    await send('createJob', '/v1/jobs?model=shapes', again);
    const { body, response: replayed } = await send('createJob', '/v1/jobs?model=shapes', again);
    expect(replayed.headers.get('cache-status')).toBe('unseam; hit');
    const { id } = body as { id: string };
    await settledJob(server.url, id);
    expect((await send('getJob', `/v1/jobs/${id}`)).body).toMatchObject({ state: 'succeeded' });
    await send('listJobs', '/v1/jobs?limit=1');
    await send('followJob', `/v1/jobs/${id}/events`);
    for (const result of [
      'labels',
      'labels&format=png',
      'geojson',
      'labels&format=zarr',
      'objects&format=csv',
      'objects&format=json',
    ])
      expect((await send('getResult', `/v1/jobs/${id}/result?output=${result}`)).response.status).toBe(200);
    for (const [file, status] of [
      ['labels.zarr/zarr.json', 200],
      ['labels.zarr/labels/classes/0/c/0/0', 200],
      ['labels.zarr/labels/classes/0/c/9/9', 404],
      ['overlay.zarr/zarr.json', 404],
      ['probabilities.zarr/zarr.json', 404],
    ] as const)
      expect((await send('getZarrFile', `/v1/jobs/${id}/${file}`)).response.status).toBe(status);
    await send('getImage', `/v1/jobs/${id}/image.dzi`);
    await send('getMask', `/v1/jobs/${id}/mask.dzi`);
    await send('getImageTile', `/v1/jobs/${id}/image_files/0/0_0.jpeg`);
    await send('getMaskTile', `/v1/jobs/${id}/mask_files/0/0_0.png`);
    await send('resumeJob', `/v1/jobs/${id}/resume`); // a conflict
    await send('getPreview', `/v1/jobs/${id}/preview`); // not found
    expect((await send('deleteJob', `/v1/jobs/${id}`)).response.status).toBe(204);
    for (const each of ['getJob', 'deleteJob'] as const) await send(each, `/v1/jobs/${id}`);
  });

  it('a job of an image that is read where it is, by parameters in JSON', async () => {
    const source = { path: 'images/shapes-0001.png' };
    const parameters = {
      model: 'shapes',
      tta: true,
      output: ['labels', 'objects:json'],
      mpp: 1 / 3,
      page: 0,
    };
    const { response, body } = await send('createJob', '/v1/jobs', json({ source, ...parameters }));
    expect(response.status).toBe(202);
    await settledJob(server.url, (body as { id: string }).id);
    await send('getJob', `/v1/jobs/${(body as { id: string }).id}`);
    for (const bad of [
      { source: {} },
      { source, model: 'none' },
      { source, page: -1 },
      { source: { path: 'no' } },
    ])
      expect((await send('createJob', '/v1/jobs', json(bad))).response.status).toBeGreaterThanOrEqual(400);
  });

  it('an upload', async () => {
    await send('getUploadOptions', '/v1/uploads');
    const headers = { ...TUS, 'upload-length': String(image.length) };
    const { response } = await send('createUpload', '/v1/uploads', { headers });
    const address = response.headers.get('location')!;
    await send('getUpload', address, { headers: TUS });
    const chunk = { ...TUS, 'upload-offset': '0', 'content-type': 'application/offset+octet-stream' };
    const sent = await send('continueUpload', address, { headers: chunk, body: image });
    expect(sent.response.status).toBe(204);
    await send('continueUpload', address, { headers: chunk, body: image }); // a conflict
    await send('deleteUpload', address, { headers: TUS });
    await send('createUpload', '/v1/uploads');
  });

  it('models, the server and its page', async () => {
    for (const name of [
      'listModels',
      'getLimits',
      'isLive',
      'isReady',
      'getMetrics',
      'getContract',
      'getDocs',
    ] as const)
      expect((await send(name, OPERATIONS[name].path)).response.status).toBe(200);
    for (const name of ['getPage', 'getIcon'] as const) await send(name, OPERATIONS[name].path);
    for (const file of ['page.css', 'page.js', 'docs.css', 'icon.svg', 'none'])
      await send('getAsset', `/web/${file}`);
    for (const file of ['index.js', 'index.d.ts', 'none.js']) await send('getClient', `/client/${file}`);
    for (const model of ['shapes', 'em-membrane%2F1-int8', 'none'])
      await send('getModel', `/v1/models/${model}`);
    await send('getCurves', '/v1/models/em-membrane/curves.svg');
  });
});

describe('the contract describes', () => {
  it('tokens and sessions', async () => {
    await send('getSession', '/v1/session');
    await send('signIn', '/v1/session'); // without a token
    expect((await send('signOut', '/v1/session')).response.status).toBe(204);
    await send('listTokens', '/v1/tokens');
    await send('createToken', '/v1/tokens', json({ name: 'a', scopes: ['read'] })); // the first is made elsewhere
    await send('revokeToken', '/v1/tokens/none');
  });
});

it('a method that a path does not have is refused with those that it has', async () => {
  const response = await fetch(`${server.url}/v1/jobs`, { method: 'PUT', body: 'x' });
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST, GET, HEAD']);
  expect(await response.json()).toMatchObject({ detail: '/v1/jobs has POST, GET, HEAD, not PUT' });
});

it('the page of the contract needs nothing but its own style', async () => {
  const response = await fetch(`${server.url}/docs`);
  expect(response.headers.get('content-security-policy')).toMatch(
    /^default-src 'none'; style-src 'self'; img-src/,
  );
  const page = await response.text();
  expect(page).not.toMatch(/<script|<style|style=|https?:/);
  for (const name of Object.keys(OPERATIONS)) expect(page).toContain(`id="${name}"`);
});
