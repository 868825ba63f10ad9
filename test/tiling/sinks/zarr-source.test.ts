import { execFile } from 'node:child_process';
import { watch } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { withFileLock } from '../../../tiling/sinks/zarr/file-lock.js';
import { openSourceLabels, type SourceLabels } from '../../../tiling/sinks/zarr/source-labels.js';
import { ZarrSink } from '../../../tiling/sinks/zarr/zarr.js';
import { openImage } from '../../../tiling/sources/open.js';
import { testFolder } from '../../support/files.js';

const root = await testFolder();
const size = { width: 40, height: 30 };
const whole = { x: 0, y: 0, ...size };
const classes = [
  { name: 'background', colour: null },
  { name: 'cell', colour: '#00ff80' },
];
const labels = Uint8Array.from({ length: 1200 }, (_, i) => (i % 7 === 0 ? 1 : 0));
const options = { scratchDir: root, maxPixels: 1e9, values: 'stored' } as const;
const mpp = { x: 0.25, y: 0.5 };

/** An OME-Zarr 0.5 with axes t, c, z, y, x: two times, two channels, three planes. */
async function writeStore3(store: string): Promise<void> {
  const format = { name: 'image', isLabels: false, channels: 2, dtype: 'float32', mpp } as const;
  const sink = await ZarrSink.create(store, size, { ...format, stack: { sizeZ: 3, sizeT: 2 } }, 'folder');
  for (let plane = 0; plane < 6; plane++)
    await sink.writeBand(whole, new Float32Array(2400).fill(0.5), plane);
  await sink.finish();
}

/** An OME-Zarr 0.4 with axes c, z, y, x, of two levels: documents alone, as its chunks are not read. */
async function writeStore2(store: string): Promise<void> {
  const unit = 'micrometer';
  const axes = [
    { name: 'c', type: 'channel' },
    { name: 'z', type: 'space', unit },
    { name: 'y', type: 'space', unit },
    { name: 'x', type: 'space', unit },
  ];
  const datasets = [1, 2].map((factor, i) => ({
    path: String(i),
    coordinateTransformations: [{ type: 'scale', scale: [1, 2, 0.5 * factor, 0.25 * factor] }],
  }));
  const common = [{ type: 'scale', scale: [1, 1, 10, 10] }];
  const attributes = { multiscales: [{ version: '0.4', axes, datasets, coordinateTransformations: common }] };
  await mkdir(store, { recursive: true });
  await writeFile(join(store, '.zgroup'), '{"zarr_format":2}');
  await writeFile(join(store, '.zattrs'), JSON.stringify(attributes));
  for (const [i, shape] of [
    [3, 5, 30, 40],
    [3, 5, 15, 20],
  ].entries()) {
    await mkdir(join(store, String(i)));
    const array = { zarr_format: 2, shape, chunks: [1, 1, 30, 40], dtype: '|u1', fill_value: 0, order: 'C' };
    const rest = { compressor: null, filters: null, dimension_separator: '/' };
    await writeFile(join(store, String(i), '.zarray'), JSON.stringify({ ...array, ...rest }));
  }
}

let count = 0;
let store: string;
beforeEach(() => {
  store = join(root, `${count++}.zarr`);
});
const into = (own: Partial<SourceLabels> = {}): SourceLabels => ({
  store,
  name: 'nuclei',
  level: 0,
  planes: [{ z: 1, t: 1 }],
  ...own,
});
async function write(own: Partial<SourceLabels> = {}, of = size): Promise<void> {
  const sink = await openSourceLabels(into(own), of, classes);
  const planes = own.planes?.length ?? 1;
  for (let plane = 0; plane < planes; plane++) {
    await sink.writeBand({ x: 0, y: 0, ...of }, labels.subarray(0, of.width * of.height), plane);
  }
  await sink.finish().catch(async (error: unknown) => {
    await sink.abort();
    throw error;
  });
}
const json = async (...names: string[]) => JSON.parse(await readFile(join(store, ...names), 'utf8'));
async function contents(): Promise<Record<string, string>> {
  const entries = await readdir(store, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    await Promise.all(files.map(async (file) => [file, (await readFile(file)).toString('hex')] as const)),
  );
}
/** Makes labels those of a run that was killed before it replaced the list. */
async function killBeforeListed(): Promise<void> {
  await rm(join(store, 'labels', 'zarr.json'));
  const document = await json('labels', 'nuclei', 'zarr.json');
  document.attributes.unseam.isListed = false;
  await writeFile(join(store, 'labels', 'nuclei', 'zarr.json'), JSON.stringify(document));
}
const readPlane = async (path: string, z: number, t = 0) => {
  const image = await openImage(path, { ...options, z, t });
  const { data } = await image.readRegion(whole);
  await image.close();
  return [image.facts.mpp, [...data]] as const;
};

describe('labels in the store of an OME-Zarr 0.5', () => {
  it('have its axes but for the channels, and are on the plane that was segmented', async () => {
    await writeStore3(store);
    const before = await contents();
    await write();
    expect(await contents()).toMatchObject(before);
    const path = join(store, 'labels', 'nuclei');
    expect(await readPlane(path, 1, 1)).toEqual([mpp, [...labels]]);
    for (const [z, t] of [
      [0, 0],
      [1, 0],
      [2, 1],
    ] as const)
      expect((await readPlane(path, z, t))[1]).toEqual(Array(1200).fill(0));
    const { ome } = (await json('labels', 'nuclei', 'zarr.json')).attributes;
    expect(ome.multiscales[0].axes.map(({ name }: { name: string }) => name)).toEqual(['t', 'z', 'y', 'x']);
    expect(ome['image-label'].source).toEqual({ image: '../../' });
    expect((await json('labels', 'nuclei', '0', 'zarr.json')).shape).toEqual([2, 3, 30, 40]);
  });

  it('are on each plane of a stack that was segmented', async () => {
    await writeStore3(store);
    await write({
      planes: [
        { z: 0, t: 1 },
        { z: 2, t: 1 },
      ],
    });
    const path = join(store, 'labels', 'nuclei');
    for (const [z, t, isThere] of [
      [0, 1, true],
      [1, 1, false],
      [2, 1, true],
      [0, 0, false],
    ] as const)
      expect((await readPlane(path, z, t))[1]).toEqual(isThere ? [...labels] : Array(1200).fill(0));
  });

  it('are listed beside others, of which nothing changes', async () => {
    await writeStore3(store);
    const group = {
      zarr_format: 3,
      node_type: 'group',
      attributes: { mine: 1, ome: { version: '0.5', labels: ['a'] } },
    };
    await mkdir(join(store, 'labels', 'a'), { recursive: true });
    await writeFile(join(store, 'labels', 'zarr.json'), JSON.stringify(group));
    await write();
    await write({ name: 'cells' });
    expect(await json('labels', 'zarr.json')).toEqual({
      ...group,
      attributes: { mine: 1, ome: { version: '0.5', labels: ['a', 'nuclei', 'cells'] } },
    });
  });

  it('are not there before they are complete, and leave nothing when they are aborted', async () => {
    await writeStore3(store);
    const before = await contents();
    const sink = await openSourceLabels(into(), size, classes);
    await sink.writeBand(whole, labels, 0);
    expect(await readdir(store)).not.toContain('labels');
    await sink.abort();
    expect(await contents()).toEqual(before);
  });

  it('replace those of a run that was killed, and no others', async () => {
    await writeStore3(store);
    await write();
    await expect(write()).rejects.toMatchObject({ code: 'conflict' });
    await killBeforeListed();
    await write();
    expect((await json('labels', 'zarr.json')).attributes.ome.labels).toEqual(['nuclei']);
    expect((await readPlane(join(store, 'labels', 'nuclei'), 1, 1))[1]).toEqual([...labels]);
    // Complete, and taken off the list by a program that does not know of them.
    await rm(join(store, 'labels', 'zarr.json'));
    await expect(write()).rejects.toMatchObject({ code: 'conflict' });
    expect((await readPlane(join(store, 'labels', 'nuclei'), 1, 1))[1]).toEqual([...labels]);
    // Of somebody else, who has not listed them.
    await mkdir(join(store, 'labels', 'others'));
    await expect(write({ name: 'others' })).rejects.toMatchObject({ code: 'conflict' });
    expect((await readdir(store)).filter((name) => name.includes('partial'))).toEqual([]);
  });
});

describe('runs that add labels to one store', () => {
  it('add all of them, and one of two with the same name', async () => {
    await writeStore3(store);
    const names = ['a', 'b', 'c', 'd', 'd'];
    const ended = await Promise.allSettled(names.map((name) => write({ name })));
    expect(ended.map(({ status }) => status).sort()).toEqual([...Array(4).fill('fulfilled'), 'rejected']);
    expect(ended.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'conflict' } });
    expect((await json('labels', 'zarr.json')).attributes.ome.labels.sort()).toEqual(['a', 'b', 'c', 'd']);
    for (const name of ['a', 'b', 'c', 'd'])
      expect((await readPlane(join(store, 'labels', name), 1, 1))[1]).toEqual([...labels]);
    expect((await readdir(store)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('have nothing but labels in their group, even if they are killed', async () => {
    await writeStore3(store);
    const group = join(store, 'labels');
    await mkdir(group);
    const seen = new Set<string | null>();
    const watcher = watch(group, (_event, name) => seen.add(name));
    await write();
    await writeFile(join(group, 'last'), '');
    await expect.poll(() => seen.has('last')).toBe(true);
    watcher.close();
    expect([...seen].sort()).toEqual(['last', 'nuclei', 'zarr.json']);
  });

  it('remove the draft of one that was killed a day ago, and no other', async () => {
    await writeStore3(store);
    const [old, live] = [join(store, '.old.1.labels.partial'), join(store, '.live.1.labels.partial')];
    const dayAgo = new Date(Date.now() - 25 * 60 * 60 * 1000);
    for (const draft of [old, live]) {
      await mkdir(join(draft, '0'), { recursive: true });
      await writeFile(join(draft, '0', '0'), 'chunk');
    }
    const list = join(store, '.zarr.json.1.labels.partial');
    await writeFile(list, '{}');
    for (const path of [join(old, '0', '0'), join(old, '0'), old, live, list])
      await utimes(path, dayAgo, dayAgo);
    await write();
    expect((await readdir(store)).filter((name) => name.startsWith('.'))).toEqual(['.live.1.labels.partial']);
  });

  it('and were killed a day ago, are not in the way of a later result', async () => {
    await writeStore3(store);
    const dayAgo = new Date(Date.now() - 25 * 60 * 60 * 1000);
    await writeFile(join(store, '.labels.lock'), '');
    await mkdir(join(store, '.nuclei.1.labels.partial'));
    await expect(writeStore3(store)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('has .nuclei.1.labels.partial, which this result would remove'),
    });
    await utimes(join(store, '.nuclei.1.labels.partial'), dayAgo, dayAgo);
    await writeStore3(store);
    expect((await readdir(store)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  it('wait for each other, within a limit', async () => {
    const lock = join(root, 'lock');
    await withFileLock(lock, () =>
      expect(withFileLock(lock, async () => undefined, { waitMs: 0 })).rejects.toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(`remove ${lock} if there is none`),
      }),
    );
    expect(await withFileLock(lock, async () => 'free', { waitMs: 0 })).toBe('free');
    await writeFile(lock, '');
    const elevenMinutesAgo = new Date(Date.now() - 660_000);
    await utimes(lock, elevenMinutesAgo, elevenMinutesAgo); // of a run that was killed
    expect(await withFileLock(lock, async () => 'free', { waitMs: 0 })).toBe('free');
    expect((await readdir(root)).filter((name) => name.startsWith('lock'))).toEqual([]);
  });
});

it('a run that waits for another can be stopped', async () => {
  const lock = join(root, 'held');
  await withFileLock(lock, async () => {
    const stop = new AbortController();
    const reason = new Error('stopped by SIGINT');
    const waiting = withFileLock(lock, async () => undefined, { signal: stop.signal });
    stop.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });
});

it('a lock that another run has taken meanwhile is given back', async () => {
  const [lock, taken] = [join(root, 'fifo'), join(root, 'taken')];
  const elevenMinutesAgo = new Date(Date.now() - 660_000);
  await promisify(execFile)('mkfifo', [lock]); // reading it waits for what is written below
  const attempt = expect(withFileLock(lock, async () => undefined, { waitMs: 0 })).rejects.toMatchObject({
    code: 'conflict',
  });
  const stale = await open(lock, 'w');
  await writeFile(taken, 'of another run');
  await utimes(taken, elevenMinutesAgo, elevenMinutesAgo);
  await rename(taken, lock);
  await stale.writeFile('of a run that was killed');
  await stale.close();
  await attempt;
  expect(await readFile(lock, 'utf8')).toBe('of another run');
  await rm(lock);
});

describe('labels in the store of an OME-Zarr 0.4', () => {
  it('are of that version, and lie on the level that was segmented', async () => {
    await writeStore2(store);
    await write({ planes: [{ z: 4, t: 0 }] });
    await write({ name: 'small', level: 1, planes: [{ z: 0, t: 0 }] }, { width: 20, height: 15 });
    expect((await readPlane(join(store, 'labels', 'nuclei'), 4))[1]).toEqual([...labels]);
    expect(await json('labels', '.zattrs')).toEqual({ labels: ['nuclei', 'small'] });
    expect(await json('labels', '.zgroup')).toEqual({ zarr_format: 2 });
    const { multiscales, 'image-label': own } = await json('labels', 'small', '.zattrs');
    expect(multiscales[0]).toMatchObject({
      version: '0.4',
      datasets: [{ coordinateTransformations: [{ type: 'scale', scale: [2, 1, 0.5] }] }, { path: '1' }],
      coordinateTransformations: [{ type: 'scale', scale: [1, 10, 10] }],
    });
    expect(own).toMatchObject({ version: '0.4', colors: [{ rgba: [0, 0, 0, 0] }, { 'label-value': 1 }] });
    expect((await json('labels', 'small', '0', '.zarray')).shape).toEqual([5, 15, 20]);
    // As many levels as the image has, as the specification requires.
    expect((await json('labels', 'small', '1', '.zarray')).shape).toEqual([5, 8, 10]);
  });
});

it('a link in the place of a draft is not followed', async () => {
  await writeStore3(store);
  const elsewhere = join(root, 'precious.json');
  await writeFile(elsewhere, '{}');
  await mkdir(join(store, 'labels'));
  await symlink(elsewhere, join(store, 'labels', 'zarr.json.partial'));
  await write();
  expect(await readFile(elsewhere, 'utf8')).toBe('{}');
  expect(await readdir(join(store, 'labels'))).toEqual(expect.arrayContaining(['zarr.json']));
});

describe('labels are refused', () => {
  const change = async (file: string, edit: (document: never) => object) =>
    writeFile(join(store, file), JSON.stringify(edit((await json(file)) as never)));
  it.each<[string, () => Promise<unknown>, RegExp]>([
    ['a name that is no folder', async () => write({ name: '../other' }), /"\.\.\/other" is no name/],
    [
      'a store whose metadata are consolidated',
      async () => {
        await change('zarr.json', (group: object) => ({ ...group, consolidated_metadata: { metadata: {} } }));
        await write();
      },
      /its metadata are consolidated/,
    ],
    [
      'a group of labels that is a link',
      async () => {
        await mkdir(join(root, 'elsewhere'), { recursive: true });
        await symlink(join(root, 'elsewhere'), join(store, 'labels'));
        await write();
      },
      /"labels" is no folder of its own/,
    ],
    [
      'a list that is damaged',
      async () => {
        await mkdir(join(store, 'labels'));
        await writeFile(join(store, 'labels', 'zarr.json'), '{"attributes":{"ome":{"labels":3}}}');
        await write();
      },
      /labels\/zarr\.json is not that of a group of labels/,
    ],
    [
      'levels outside of the store',
      async () => {
        const text = await readFile(join(store, 'zarr.json'), 'utf8');
        await writeFile(join(store, 'zarr.json'), text.replace('"path": "0"', '"path": "../0"'));
        await write();
      },
      /its levels are outside of it/,
    ],
    [
      'a later version',
      async () => {
        const text = await readFile(join(store, 'zarr.json'), 'utf8');
        await writeFile(join(store, 'zarr.json'), text.replace('"version": "0.5"', '"version": "0.9"'));
        await write();
      },
      /it is OME-Zarr 0\.9/,
    ],
  ])('for %s', async (_what, attempt, message) => {
    await writeStore3(store);
    await expect(attempt()).rejects.toMatchObject({
      code: 'unsupported-output',
      message: expect.stringMatching(message),
    });
    expect((await readdir(store)).filter((name) => name.includes('partial'))).toEqual([]);
  });
});
