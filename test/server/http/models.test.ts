import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type FakeServer, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';

const folder = await testFolder();
let server: FakeServer;
beforeAll(async () => {
  server = await fakeServer(join(folder, 'data'));
});
afterAll(() => server?.close());

it('lists the models with their cards', async () => {
  const { models } = (await (await fetch(`${server.url}/v1/models`)).json()) as {
    models: { name: string; curves: string | null; quantised: string[] }[];
  };
  expect(models.map(({ name }) => name)).toEqual(['em-membrane', 'shapes', 'shapes-notebook']);
  expect(await (await fetch(`${server.url}/v1/models/shapes`)).json()).toEqual(models[1]);
  expect(models.map(({ quantised }) => quantised)).toEqual([['em-membrane/1-int8'], [], []]);
  expect(await (await fetch(`${server.url}/v1/models/em-membrane%2F1-int8`)).json()).toMatchObject({
    version: '1-int8',
    quantisation: { original: { test: { pixelError: 0.07098 } } },
  });
  // Linked pages exist, and browsers find an icon.
  for (const { curves } of models) {
    expect([curves, curves && (await fetch(server.url + curves)).status]).toEqual([curves, curves && 200]);
  }
  const icon = await fetch(`${server.url}/favicon.ico`);
  expect([icon.status, icon.headers.get('content-type')]).toEqual([200, 'image/svg+xml']);
  expect(await (await fetch(`${server.url}/v1/models/none`)).json()).toMatchObject({ status: 404 });
});

it('is live and ready', async () => {
  expect((await fetch(`${server.url}/livez`)).status).toBe(200);
  expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
});
