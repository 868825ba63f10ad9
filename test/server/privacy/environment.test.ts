import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { childEnvironment } from '../../../server/config.js';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { testServer } from '../../support/product.js';

const folder = await testFolder();
const SECRETS = {
  DATABASE_URL: 'postgres://u:marker-1@db',
  UNSEAM_FUTURE_KEY: 'marker-2',
  AWS_SECRET_ACCESS_KEY: 'marker-3',
};
let server: RunningServer;
beforeAll(async () => {
  Object.assign(process.env, SECRETS);
  server = await testServer(join(folder, 'data'));
});
afterAll(async () => {
  for (const name of Object.keys(SECRETS)) delete process.env[name];
  await server?.close();
});

describe('the environment of processes that open images', () => {
  it('has what they need, and no secret of the server', () => {
    const names = Object.keys(childEnvironment());
    expect(names).toContain('PATH');
    expect(names.filter((name) => name in SECRETS)).toEqual([]);
  });

  it('has where libraries are and how they compute, and no display', () => {
    const libraries = {
      DYLD_FALLBACK_LIBRARY_PATH: '/opt/homebrew/lib',
      LD_LIBRARY_PATH: '/opt/lib',
      GOMP_CPU_AFFINITY: '0-3',
      VK_ICD_FILENAMES: '/etc/vulkan/icd.d/a.json',
    };
    const display = { DISPLAY: ':0', WAYLAND_DISPLAY: 'wayland-0', XAUTHORITY: '/root/.Xauthority' };
    expect(childEnvironment({ ...libraries, ...display })).toEqual({
      ...libraries,
      MALLOC_MMAP_THRESHOLD_: expect.any(String),
    });
  });

  it('has proxies, which may have passwords, where Node.js uses them', () => {
    const proxies = { HTTP_PROXY: 'http://u:p@a', https_proxy: 'http://u:p@a', NO_PROXY: 'b', no_proxy: 'b' };
    const namesOf = (more: NodeJS.ProcessEnv) => Object.keys(childEnvironment({ ...proxies, ...more }));
    for (const unused of [{}, { NODE_USE_ENV_PROXY: '0' }])
      expect(namesOf(unused).filter((name) => name in proxies)).toEqual([]);
    for (const used of [{ NODE_USE_ENV_PROXY: '1' }, { NODE_OPTIONS: '--use-env-proxy' }])
      expect(namesOf(used)).toEqual(expect.arrayContaining([...Object.keys(proxies), ...Object.keys(used)]));
  });

  it.runIf(process.platform === 'linux')(
    'is that of the worker and of all readers, as the system knows it',
    async () => {
      const image = await sharp({ create: { width: 60, height: 60, channels: 3, background: 'red' } })
        .png()
        .toBuffer();
      const post = (path: string) =>
        fetch(`${server.url}${path}`, { method: 'POST', body: new Uint8Array(image) });
      const { id } = (await (await post('/v1/jobs?model=shapes')).json()) as { id: string };
      const result = (query: string) => fetch(`${server.url}/v1/jobs/${id}/result${query}`);
      await expect.poll(async () => (await result('')).status).toBe(200);
      expect((await result('?output=objects')).status).toBe(200);
      expect((await fetch(`${server.url}/v1/jobs/${id}/image_files/0/0_0.jpeg`)).status).toBe(200);

      const children = (await readFile(`/proc/self/task/${process.pid}/children`, 'utf8')).trim().split(' ');
      expect(children).toContain(String(server.workerPid()));
      expect(children.length).toBeGreaterThanOrEqual(4); // and the readers of headers, of tiles and of results
      for (const pid of children) {
        const environment = await readFile(`/proc/${pid}/environ`, 'utf8');
        expect(environment).toContain('MALLOC_MMAP_THRESHOLD_=');
        expect(environment).not.toMatch(/marker-\d/);
      }
    },
  );
});
