import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { httpBytes } from '../../../tiling/sources/http-bytes.js';
import { testFolder } from '../../support/files.js';
import { pattern } from '../../support/rasters.js';
import { writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
let file: Buffer;
let isDown = false;
const images = createServer((request, response) => {
  if (isDown) return void request.socket.destroy();
  const [, from, to] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '')!.map(Number);
  const part = file.subarray(from!, to! + 1);
  const range = `bytes ${from}-${from! + part.length - 1}/${file.length}`;
  response.writeHead(206, { 'content-range': range, 'content-length': part.length }).end(part);
});

beforeAll(async () => {
  const path = join(folder, 'slide.tif');
  await writeTestTiff(path, pattern(1000, 700), { compression: 1 });
  file = await readFile(path);
  images.listen(0, '127.0.0.1');
  await once(images, 'listening');
});
afterAll(() => {
  images.closeAllConnections();
  images.close();
});

it('a failed read causes no unhandled rejection, even if its blocks are requested again', async () => {
  const unheard: unknown[] = [];
  const hear = (reason: unknown) => void unheard.push(reason);
  process.prependListener('unhandledRejection', hear);
  const bytes = await httpBytes(`http://127.0.0.1:${(images.address() as AddressInfo).port}/slide.tif`);
  isDown = true;
  for (const offset of [100_000, 300_000, 500_000])
    await expect(bytes.read(offset, 1000)).rejects.toMatchObject({ code: 'source-unreachable' });
  await new Promise(setImmediate); // unhandled rejections are reported a turn after they happen
  process.off('unhandledRejection', hear);
  expect(unheard).toEqual([]);
  isDown = false;
  expect((await bytes.read(300_000, 1000)).equals(file.subarray(300_000, 301_000))).toBe(true);
});
