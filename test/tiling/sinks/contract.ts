import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Size } from '../../../tiling/geometry.js';
import { COLUMN_BLOCK_PX, planTiles } from '../../../tiling/plan.js';
import type { MaskArray, MaskSink } from '../../../tiling/sink.js';
import { testFolder } from '../../support/files.js';
import { even } from '../../support/rasters.js';

export interface MaskSinkCase<Sink extends MaskSink> {
  /** Opens a sink for a mask of this size. The name of a file that it publishes is, or starts with, `path`. */
  readonly open: (path: string, size: Size) => Promise<Sink>;
  /** Floats per pixel of its mask. Default: labels, one byte per pixel. */
  readonly floats?: number | undefined;
  /** Whether its bands are whole rows, so that the mask is not wider than a column block. Default false. */
  readonly wholeRows?: boolean;
  /** The output of a finished sink, for those that publish no file. Default: its files. */
  readonly result?: (sink: Sink, path: string, size: Size) => Promise<NodeJS.ArrayBufferView>;
}

const SIZES: readonly Size[] = [
  { width: 1, height: 1 },
  { width: 270, height: 260 },
  { width: COLUMN_BLOCK_PX + 300, height: 20 },
];
const RULE = { halo: even(3), multiple: 4, smallest: 10 };
/** Sides of the tiles whose bands are written, in px: from the smallest to one that covers the image. */
const tilesOf = ({ width, height }: Size) => [10, 306, 10 + 4 * Math.ceil(Math.max(width, height) / 4)];

/** The contract of every `MaskSink`, as tests. A new one is one line in `contract.test.ts`. */
export function maskSinkContract<Sink extends MaskSink>(
  name: string,
  { open, floats, wholeRows = false, result }: MaskSinkCase<Sink>,
): void {
  describe(name, async () => {
    const root = await testFolder();
    const publishes = result === undefined;
    let folder: string;
    let path: string;
    let tests = 0;
    beforeEach(async () => {
      folder = join(root, `${tests++}`);
      path = join(folder, 'mask');
      await mkdir(folder);
    });
    const sizes = SIZES.filter(({ width }) => !wholeRows || width <= COLUMN_BLOCK_PX);
    const bandsOf = (size: Size, tile: number) => bands(size, floats, tile);
    /** Digests of the output of a sink, by name. */
    const made = async (sink: Sink, size: Size) =>
      result ? { result: sha256(await result(sink, path, size)) } : files(folder);

    describe.each(sizes)('of $width×$height px', (size) => {
      it('has the same output for the same mask in any bands', async () => {
        const results: unknown[] = [];
        for (const tile of tilesOf(size)) {
          const sink = await open(path, size);
          for (const { rect, data } of bandsOf(size, tile)) await sink.writeBand(rect, data, 0);
          await sink.finish();
          results.push(await made(sink, size));
        }
        expect(Object.keys(results[0] as object).length).toBeGreaterThan(0);
        for (const other of results) expect(other).toEqual(results[0]);
      });

      it('does not use a band after its write has resolved', async () => {
        const results: unknown[] = [];
        for (const reused of [false, true]) {
          const sink = await open(path, size);
          for (const { rect, data } of bandsOf(size, 306)) {
            await sink.writeBand(rect, data, 0);
            if (reused) data.fill(0);
          }
          await sink.finish();
          results.push(await made(sink, size));
        }
        expect(results[1]).toEqual(results[0]);
      });
    });

    describe.runIf(publishes)('its file', () => {
      const size = sizes.at(-1)!;

      it('appears when finished, with no temporary file left', async () => {
        const sink = await open(path, size);
        expect(await published(folder)).toEqual([]);
        for (const { rect, data } of bandsOf(size, 10)) {
          await sink.writeBand(rect, data, 0);
          expect(await published(folder)).toEqual([]);
        }
        await sink.finish();
        const names = await readdir(folder);
        expect(names).toContain('mask');
        expect(await published(folder)).toEqual(names);
      });

      it('is removed when aborted, after any number of bands', async () => {
        for (const count of [0, 1, 2, Number.POSITIVE_INFINITY]) {
          const sink = await open(path, size);
          for (const { rect, data } of [...bandsOf(size, 10)].slice(0, count))
            await sink.writeBand(rect, data, 0);
          await sink.abort();
          expect(await readdir(folder)).toEqual([]);
        }
      });

      it('is removed when it cannot be published', async () => {
        const sink = await open(path, size);
        for (const { rect, data } of bandsOf(size, 306)) await sink.writeBand(rect, data, 0);
        await mkdir(path); // occupies its name
        await expect(sink.finish()).rejects.toMatchObject({
          code: expect.stringMatching(/^(EISDIR|conflict)$/),
        });
        await sink.abort();
        expect(await readdir(folder)).toEqual(['mask']);
      });

      it('replaces an existing one only when finished', async () => {
        const write = async (end: 'finish' | 'abort', tile: number) => {
          const sink = await open(path, size);
          for (const { rect, data } of bandsOf(size, tile)) await sink.writeBand(rect, data, 0);
          await sink[end]();
        };
        await write('finish', 306);
        const before = await files(folder);
        await write('abort', 10);
        expect(await files(folder)).toEqual(before);
        await write('finish', 10);
        expect(await files(folder)).toEqual(before);
      });
    });
  });
}

/** The bands of a plan with the given tile size, with a mask's values. */
function* bands(size: Size, floats: number | undefined, tile: number) {
  const channels = floats ?? 1;
  const values = size.width * size.height * channels;
  const mask: MaskArray = floats ? new Float32Array(values) : new Uint8Array(values);
  for (let i = 0; i < values; i++) {
    const [c, x] = [i % channels, Math.floor(i / channels) % size.width];
    mask[i] = (Math.floor(x / 29) + Math.floor(i / channels / size.width / 17) + c) % 4;
  }
  for (const { write: rect } of planTiles(size, {
    tile: { width: tile, height: tile },
    rule: RULE,
  }).bands()) {
    const data = new (mask.constructor as typeof Float32Array)(rect.width * rect.height * channels);
    for (let row = 0; row < rect.height; row++) {
      const from = ((rect.y + row) * size.width + rect.x) * channels;
      data.set(mask.subarray(from, from + rect.width * channels), row * rect.width * channels);
    }
    yield { rect, data: data as MaskArray };
  }
}

/** The files of a folder whose name starts with that of a result. */
const published = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => !name.endsWith('.partial'));

/** Digests of the files below a folder, by name. */
async function files(folder: string): Promise<Record<string, string>> {
  const found = await readdir(folder, { withFileTypes: true, recursive: true });
  const names = found
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
  const digests = names.map(async (name) => [name, sha256(await readFile(join(folder, name)))] as const);
  return Object.fromEntries(await Promise.all(digests));
}

const sha256 = (bytes: NodeJS.ArrayBufferView): string => createHash('sha256').update(bytes).digest('hex');
