import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Card } from '../../model/card.js';
import type { PlanSpec } from '../../server/job-spec.js';
import { ReaderPool } from '../../server/readers/pool.js';
import { Readers } from '../../server/readers/readers.js';
import { Viewer } from '../../server/viewer.js';
import { testFolder } from '../support/files.js';
import { pattern } from '../support/rasters.js';
import { writeTestTiff } from '../support/tiff.js';

const folder = await testFolder();
const image = join(folder, 'image.tif');
const heavy = join(folder, 'heavy.tif');
const limits = { maxPixels: 1e9 };
const picture = { singleFile: true, choice: {}, scratchDir: folder, learnt: undefined };
/** A tile of the image that is made of a smaller version of it, for which all of it is read. */
const far = { level: 10, column: 0, row: 0 };

beforeAll(async () => {
  const tiles = { compression: 8, tile: { width: 256, height: 256 } };
  await writeTestTiff(image, pattern(1024, 4096), tiles);
  // What is known of each element takes a hundred times its bytes.
  const description = `<OME><Image><Pixels SizeC="1">${'<a b="c"/>'.repeat(300_000)}</Pixels></Image></OME>`;
  await writeTestTiff(heavy, pattern(64, 64), { compression: 1, description });
});

describe('a process that reads images', () => {
  let pool: ReaderPool;
  afterEach(() => pool.close());

  it('that runs out of memory costs the call that made it so, by name', async () => {
    const queue = { processes: 1, kept: 1, waiting: 9, limitMs: 30_000 };
    pool = new ReaderPool({ doing: 'reading', heapMb: 20, limits, ...queue });
    const [pid] = pool.pids;
    const header = (input: string) => pool.call('header', [{ ...picture, input }]);
    const size = { width: 1024, height: 4096 };
    const others = [header(image)];
    const costly = [header(heavy), pool.call('imageTile', [{ ...picture, input: heavy }, far])];
    others.push(header(image));
    for (const call of costly)
      await expect(call).rejects.toMatchObject({
        code: 'corrupt-image',
        message: 'reading ended its process (SIGABRT)',
      });
    for (const call of others) expect(await call).toMatchObject({ size });
    expect(pool.pids).not.toContain(pid);
  });
});

describe('what viewers ask for', () => {
  it('waits in one queue that has an end', async () => {
    const readers = new Readers(limits);
    const spec = { ...picture, input: image } as unknown as PlanSpec;
    const tiles = Array.from({ length: 66 }, () => readers.tile(spec, {} as Card, null, far));
    const codes = tiles.map((tile) => tile.catch(({ code }: { code: string }) => code));
    expect(await codes.pop()).toBe('busy');
    await readers.close();
    expect(new Set(await Promise.all(codes))).toEqual(new Set(['engine-lost']));
  });
});

describe('the viewer', () => {
  const isJpeg = (tile: Buffer) => tile.subarray(0, 2).toString('hex') === 'ffd8';

  it('closes an image when its tiles are made, and not before', async () => {
    const viewer = new Viewer(limits);
    const order: string[] = [];
    const made = (what: string) => void order.push(what);
    const making = viewer
      .imageTile(image, { ...picture, ...limits }, far)
      .then((tile) => made(isJpeg(tile) ? 'made' : 'something else'))
      .catch((error: Error) => made(error.message));
    const closing = viewer.forget(folder).finally(() => order.push('closed'));
    await Promise.all([making, closing]);
    expect(order).toEqual(['made', 'closed']);
  });

  it('tries again what it could not read', async () => {
    const viewer = new Viewer(limits);
    const tile = () => viewer.imageTile(image, { ...picture, ...limits }, far);
    const file = await open(image, 'r+');
    try {
      const { buffer: kept } = await file.read(Buffer.alloc(4096), 0, 4096, 1_000_000);
      await file.write(Buffer.alloc(4096), 0, 4096, 1_000_000);
      await expect(tile()).rejects.toMatchObject({ code: 'corrupt-image' });
      await file.write(kept, 0, 4096, 1_000_000);
      expect(isJpeg(await tile().catch((error: Error) => Buffer.from(error.message)))).toBe(true);
    } finally {
      await file.close();
      await viewer.close();
    }
  });
});
