import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { testFolder } from '../../support/files.js';
import { serverProcess, unseam, unseamHere } from '../../support/product.js';

const folder = await testFolder();
const image = join(folder, 'images', 'shapes-0001.png');
const flags = (name: string) => [
  ...['--dump-graphs', join(folder, name, 'graphs')],
  ...['--profile-graphs', join(folder, name, 'profiles')],
];

/** The graphs for which a run wrote a model, a listing and a profile. */
async function writtenBy(
  name: string,
): Promise<{ models: string[]; listings: string[]; profiles: string[] }> {
  const graphs = await readdir(join(folder, name, 'graphs'));
  const ending = (extension: string) =>
    graphs.flatMap((file) => (file.endsWith(extension) ? [file.slice(0, -extension.length)] : [])).sort();
  const profiles = await readdir(join(folder, name, 'profiles'));
  return {
    models: ending('.onnx'),
    listings: ending('.txt'),
    // one for each lane and number of threads
    profiles: [
      ...new Set(profiles.map((file) => /^(.+)-lane-\d+-threads-\d+_.+\.json$/.exec(file)![1]!)),
    ].sort(),
  };
}

beforeAll(async () => {
  await unseamHere(['samples', '-o', folder, '-s', '400x300', '-n', '1']);
});

it('a command writes the compiled graphs of its engine, and their profiles', async () => {
  const args = ['segment', image, '-m', 'shapes', '-o', join(folder, 'mask.png'), '--scratch', folder];
  expect(await unseam([...args, ...flags('segment')])).toMatchObject({ code: 0 });
  const { models, listings, profiles } = await writtenBy('segment');
  expect(models.length).toBeGreaterThan(0);
  expect(listings).toEqual(models);
  expect(profiles).toEqual(models);
  const listing = await readFile(join(folder, 'segment', 'graphs', `${models[0]}.txt`), 'utf8');
  expect(listing).toMatch(/^ {2}v\d+ = Conv\(.+\) kernel_shape=\[3, 3\]/m);
});

it('a server writes those of its worker process', async () => {
  const server = await serverProcess(join(folder, 'data'), flags('serve'));
  const body = new Uint8Array(await readFile(image));
  const response = await fetch(`${server.url}/v1/segment?model=shapes`, { method: 'POST', body });
  expect(response.status).toBe(200);
  await response.arrayBuffer();
  server.process.kill('SIGTERM');
  expect(await server.exit).toBe(0);
  const { models, listings, profiles } = await writtenBy('serve');
  expect(models.length).toBeGreaterThan(0);
  expect(listings).toEqual(models);
  expect(profiles).toEqual(models);
});
