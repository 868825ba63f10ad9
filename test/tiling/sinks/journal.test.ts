import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BandJournal } from '../../../tiling/sinks/journal.js';
import { testFolder } from '../../support/files.js';
import { pattern } from '../../support/rasters.js';

const folder = await testFolder();
const labels = (y: number) => ({
  plane: y / 16,
  rect: { x: 0, y, width: 64, height: 16 },
  data: pattern(64, 16).data.map((v) => (v + y) & 3) as Uint8Array,
});
const floats = {
  plane: 65_535,
  rect: { x: 8, y: 9, width: 5, height: 7 },
  data: Float32Array.from({ length: 70 }, (_, i) => i / 7),
};

async function written(path: string, key = 'a'): Promise<void> {
  const journal = await BandJournal.open(path, key);
  for await (const _ of journal.replay());
  for (const { rect, data, plane } of [labels(0), labels(16), floats]) {
    await journal.writeBand(rect, data, plane);
  }
  await journal.finish();
}

async function replayed(path: string, key = 'a') {
  const journal = await BandJournal.open(path, key);
  const bands = [];
  for await (const band of journal.replay()) bands.push(band);
  await journal.finish();
  return bands;
}

describe('a journal', () => {
  it('replays the written bands losslessly, with their planes', async () => {
    const path = join(folder, 'whole');
    await written(path);
    expect(await replayed(path)).toEqual([labels(0), labels(16), floats]);
    expect(await replayed(path)).toEqual([labels(0), labels(16), floats]);
  });

  it('ends before a record truncated at any byte, and continues from there', async () => {
    const path = join(folder, 'torn');
    await written(path);
    const all = await readFile(path);
    await truncate(path, all.length - 1);
    const two = (await replayed(path)) && (await stat(path)).size;
    for (const size of [all.length - 1, two + 27, two + 1]) {
      await writeFile(path, all.subarray(0, size));
      expect((await replayed(path)).length).toBe(2);
      expect((await stat(path)).size).toBe(two);
      const journal = await BandJournal.open(path, 'a');
      for await (const _ of journal.replay());
      await journal.writeBand(floats.rect, floats.data, floats.plane);
      await journal.abort();
      expect((await readFile(path)).equals(all)).toBe(true);
    }
  });

  it('ends before a record with a wrong checksum, and before anything that is not a record', async () => {
    const path = join(folder, 'damaged');
    await written(path);
    const bytes = await readFile(path);
    bytes[bytes.length - 20]! ^= 1;
    await writeFile(path, bytes);
    expect(await replayed(path)).toEqual([labels(0), labels(16)]);
    await appendFile(path, Buffer.alloc(100, 0xff));
    expect(await replayed(path)).toEqual([labels(0), labels(16)]);
  });

  it('of another key, or without a key, is restarted', async () => {
    const path = join(folder, 'key');
    await written(path);
    expect(await replayed(path, 'b')).toEqual([]);
    expect(await replayed(path, 'a')).toEqual([]);
    await writeFile(path, 'something else');
    expect(await replayed(path)).toEqual([]);
  });

  it('reports the discarded one when it is restarted', async () => {
    const path = join(folder, 'earlier');
    const earlier = async (key: string) => {
      const journal = await BandJournal.open(path, key);
      await journal.finish();
      return journal.discarded;
    };
    expect(await earlier('a')).toBeNull();
    expect(await earlier('a')).toBeNull();
    expect(await earlier('b')).toEqual({ reason: null, key: 'a' });
    await writeFile(path, 'unseam journal 99\nwhat follows is for a later version to say');
    expect((await earlier('b'))!.reason).toBe(
      'a journal of format version 99, from a later unseam; this one uses version 2',
    );
    await writeFile(path, 'something else');
    expect((await earlier('b'))!.reason).toBe('a journal that cannot be read');
  });
});
