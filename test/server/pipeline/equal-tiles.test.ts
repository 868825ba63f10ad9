import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { JobView } from '../../../server/contract/schemas/job.js';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { settledJob } from '../../support/jobs.js';
import { testServer } from '../../support/product.js';
import { pattern } from '../../support/rasters.js';

const folder = await testFolder();
/** Of equal tiles, which share results, and of all tiles. */
let sharing: RunningServer;
let computing: RunningServer;
beforeAll(async () => {
  sharing = await testServer(join(folder, 'sharing'), { tileCacheBytes: null });
  computing = await testServer(join(folder, 'computing'));
});
afterAll(() => Promise.all([sharing.close(), computing.close()]));

/** A gray TIFF of one value, with textured squares of 300 px at some places. */
async function slide(width: number, height: number, squares: readonly { left: number; top: number }[] = []) {
  const { data, ...square } = pattern(300, 300);
  const input = Buffer.from(data);
  const raw = { width: square.width, height: square.height, channels: 1 } as const;
  const blank = sharp({ create: { width, height, channels: 3, background: '#e0e0e0' } });
  const layers = squares.map((place) => {
    return { input, raw, ...place };
  });
  return blank.composite(layers).toColourspace('b-w').tiff({ tile: true, compression: 'deflate' }).toBuffer();
}

async function run({ url }: RunningServer, image: Buffer, query: string) {
  const body = new Uint8Array(image);
  const posted = await fetch(`${url}/v1/jobs?model=em-membrane&${query}`, { method: 'POST', body });
  const { state, receipt, ...job } = await settledJob(url, ((await posted.json()) as JobView).id);
  expect(state).toBe('succeeded');
  const files = await Promise.all(
    job.results.map(async ({ href }) => Buffer.from(await (await fetch(`${url}${href}`)).arrayBuffer())),
  );
  return { files, tiles: (receipt as unknown as { tiles: Record<string, number> }).tiles };
}

async function metric({ url }: RunningServer, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(name));
  return Number(line?.slice(line.lastIndexOf(' ')));
}

it('a slide of one colour is one tile for the network, and its result that of all of them', async () => {
  const image = await slide(1000, 700);
  const query = 'tile=188&output=labels,probabilities';
  const shared = await run(sharing, image, query);
  const computed = await run(computing, image, query);
  const none = { identical: 0, skipped: 0, replayed: 0 };
  const { computed: tiles } = computed.tiles as { computed: number };
  expect(tiles).toBeGreaterThan(50);
  expect([shared.tiles, computed.tiles]).toEqual([
    { computed: 1, constant: tiles - 1, ...none },
    { computed: tiles, constant: 0, ...none },
  ]);
  expect(shared.files.length).toBe(2);
  for (const [i, file] of shared.files.entries()) expect(file.equals(computed.files[i]!)).toBe(true);
  const labels = '{model="em-membrane"}';
  expect(await metric(sharing, `unseam_constant_tiles_total${labels}`)).toBe(tiles - 1);
  expect(await metric(sharing, `unseam_tiles_total${labels}`)).toBe(1);
  expect(await metric(sharing, 'unseam_cache_hits_total{cache="tiles"}')).toBe(tiles - 1);
  expect(await metric(sharing, 'unseam_cache_bytes{cache="tiles"}')).toBeGreaterThanOrEqual(100 * 100);
  expect(await metric(computing, `unseam_tiles_total${labels}`)).toBe(tiles);
});

it('tiles with texture share results where it recurs, and never otherwise', async () => {
  // the stride of tiles of 188 px: the first three squares lie alike in their tiles, the fourth does not
  const stride = 96;
  const places = [2, 7, 12].map((n) => ({ left: n * stride, top: 4 * stride }));
  const image = await slide(18 * stride, 14 * stride, [...places, { left: 700, top: 901 }]);
  const query = 'tile=188';
  const shared = await run(sharing, image, query);
  const computed = await run(computing, image, query);
  expect(shared.files[0]!.equals(computed.files[0]!)).toBe(true);
  expect(shared.tiles.identical).toBeGreaterThan(0);
  expect(shared.tiles.constant).toBeGreaterThan(10);
  const again = await run(sharing, image, query);
  expect(again.files[0]!.equals(computed.files[0]!)).toBe(true);
  expect(again.tiles.computed).toBeLessThan(shared.tiles.computed!);
});
