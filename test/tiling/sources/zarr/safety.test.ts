import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openImage } from '../../../../tiling/sources/open.js';
import { testFolder } from '../../../support/files.js';

const folder = await testFolder();
const options = { scratchDir: folder, maxPixels: 1e9 };
const SIDE = 16;

/** The metadata of a Zarr 3 array, with changes. */
const array = (changes: object = {}) => ({
  zarr_format: 3,
  node_type: 'array',
  shape: [SIDE, SIDE],
  data_type: 'uint8',
  fill_value: 0,
  chunk_grid: { name: 'regular', configuration: { chunk_shape: [SIDE, SIDE] } },
  chunk_key_encoding: { name: 'default', configuration: { separator: '/' } },
  codecs: [{ name: 'bytes' }],
  attributes: {},
  ...changes,
});
const group = (paths: readonly string[], more: object = {}) => ({
  zarr_format: 3,
  node_type: 'group',
  attributes: {
    ome: {
      multiscales: [{ axes: [{ name: 'y' }, { name: 'x' }], datasets: paths.map((path) => ({ path })) }],
    },
    ...more,
  },
});
const pixels = Buffer.alloc(SIDE * SIDE, 77);

/**
 * A Zstandard frame (RFC 8878): superfluous blocks of 128 KiB of zeros, then a compressed one of
 * 256 bytes of 77.
 */
function zstdOf(claimed: number | null, zeros = 0): Buffer {
  const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  // One segment of 256 bytes; or a window of 1 MiB without the size.
  const head = Buffer.from(claimed === 256 ? [0x60, 0, 0] : [0x00, 10 << 3]);
  const block = (last: number, type: number, size: number, ...bytes: number[]) => {
    const header = (size << 3) | (type << 1) | last;
    return Buffer.from([header & 255, (header >> 8) & 255, header >> 16, ...bytes]);
  };
  const repeated = Array.from({ length: zeros }, () => block(0, 1, 128 << 10, 0));
  const literals = 1 | (1 << 2) | (256 << 4); // of one byte, repeated
  const compressed = block(1, 2, 4, literals & 255, literals >> 8, 77, 0);
  return Buffer.concat([magic, head, ...repeated, compressed]);
}

/** Writes an OME-Zarr of one level from its metadata and its single chunk. */
async function write(
  name: string,
  meta: object,
  chunk: Buffer | null = pixels,
  paths = ['0'],
): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, '0', 'c', '0'), { recursive: true });
  await writeFile(join(path, 'zarr.json'), JSON.stringify(group(paths)));
  await writeFile(join(path, '0', 'zarr.json'), JSON.stringify(meta));
  if (chunk) await writeFile(join(path, '0', 'c', '0', '0'), chunk);
  return path;
}
async function read(path: string, more: object = {}) {
  const source = await openImage(path, { ...options, ...more });
  return (await source.readRegion({ x: 0, y: 0, ...source.size })).data;
}

describe('an OME-Zarr on an allowed host', () => {
  let inside: Server;
  let outside: Server;
  const hits: string[] = [];
  let images: Record<string, object>;
  const portOf = (server: Server) => (server.address() as AddressInfo).port;

  beforeAll(async () => {
    outside = createServer((request, response) => {
      hits.push(request.url!);
      response.end(/zarr\.json$/.test(request.url!) ? JSON.stringify(array()) : pixels);
    }).listen(0, '127.0.0.1');
    inside = createServer((request, response) => {
      const [, root, name, ...rest] = request.url!.split('/');
      const image = images[name!] as { paths?: string[]; meta?: object } | undefined;
      if (root !== 'data') hits.push(request.url!);
      if (rest.join('/') === 'zarr.json') response.end(JSON.stringify(group(image?.paths ?? ['0'])));
      else if (rest.join('/') === '0/zarr.json') response.end(JSON.stringify(image?.meta ?? array()));
      else if (name === 'moved.zarr')
        response.writeHead(302, { location: `http://127.0.0.1:${portOf(outside)}/secret` }).end();
      else response.end(pixels);
    }).listen(0, '127.0.0.1');
    for (const server of [inside, outside])
      if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
    const other = `127.0.0.1:${portOf(outside)}`;
    const keys = (separator: string) => ({
      meta: array({ chunk_key_encoding: { name: 'v2', configuration: { separator } } }),
    });
    images = {
      'plain.zarr': {},
      'moved.zarr': {},
      'dataset-slashes.zarr': { paths: [`%2F%2F${other}/secret`] },
      'dataset-address.zarr': { paths: [`/http:%2F%2F${other}/secret`] },
      'dataset-up.zarr': { paths: ['..%2F..%2Fsecret'] },
      'dataset-dots.zarr': { paths: ['%252e%252e/%252e%252e/secret'] },
      'dataset-backslash.zarr': { paths: ['..%5C..%5Csecret'] },
      'keys-slashes.zarr': keys(`/../..///${other}/secret/`),
      'keys-address.zarr': keys(`/../../http:%2F%2F${other}/secret/`),
      'keys-up.zarr': keys('/..%2F..%2F..%2Fsecret/'),
    };
  });
  afterAll(() => {
    inside.close();
    outside.close();
  });
  const readFrom = (name: string) =>
    read(`http://127.0.0.1:${portOf(inside)}/data/${name}`, {
      allowedHosts: [`127.0.0.1:${portOf(inside)}`],
    });

  it('is read', async () => {
    expect(Buffer.from(await readFrom('plain.zarr')).equals(pixels)).toBe(true);
  });

  it.each([
    ['a dataset path of encoded slashes', 'dataset-slashes.zarr'],
    ['a dataset path that is a URL', 'dataset-address.zarr'],
    ['a dataset path with a parent directory', 'dataset-up.zarr'],
    ['a dataset path of dots encoded twice', 'dataset-dots.zarr'],
    ['a dataset path of backslashes', 'dataset-backslash.zarr'],
    ['chunk keys that start with a host', 'keys-slashes.zarr'],
    ['chunk keys that are a URL', 'keys-address.zarr'],
    ['chunk keys with a parent directory', 'keys-up.zarr'],
    ['a redirect', 'moved.zarr'],
  ])('cannot reach other URLs by %s', async (_, name) => {
    hits.length = 0;
    const outcome = await readFrom(name).then(
      () => 'read',
      (error: { code?: string }) => error.code,
    );
    expect({ hits, outcome }).toEqual({
      hits: [],
      outcome: name === 'moved.zarr' ? 'source-unreachable' : 'corrupt-image',
    });
  });
});

describe('an OME-Zarr in a folder', () => {
  const secret = Buffer.alloc(SIDE * SIDE, 200);

  it('is read', async () => {
    expect(Buffer.from(await read(await write('plain.zarr', array()))).equals(pixels)).toBe(true);
  });

  it.each([
    ['with a declared size', SIDE * SIDE],
    ['without one', null],
  ])('is read from a small chunk of Zstandard %s', async (_, claimed) => {
    const meta = array({ codecs: [{ name: 'bytes' }, { name: 'zstd', configuration: {} }] });
    const path = await write(`zstd-${claimed}.zarr`, meta, zstdOf(claimed));
    expect(Buffer.from(await read(path)).equals(pixels)).toBe(true);
  });

  it.each([
    ['a dataset path that leads up', ['..%2Foutside'], array()],
    ['a dataset path of plain dots', ['%2e%2e%2Foutside'], array()],
    [
      'chunk keys that lead up',
      ['0'],
      array({
        chunk_key_encoding: { name: 'v2', configuration: { separator: '/..%2F..%2F..%2Foutside/c/' } },
      }),
    ],
  ] as const)('cannot read outside it by %s', async (what, paths, meta) => {
    await mkdir(join(folder, 'outside', 'c', '0', 'c'), { recursive: true });
    await writeFile(join(folder, 'outside', 'zarr.json'), JSON.stringify(array()));
    await writeFile(join(folder, 'outside', 'c', '0', '0'), secret);
    await writeFile(join(folder, 'outside', 'c', '00'), secret);
    const path = await write(`${what.replaceAll(' ', '-')}.zarr`, meta, null, [...paths]);
    await expect(read(path)).rejects.toMatchObject({
      code: 'corrupt-image',
      message: expect.not.stringContaining(folder),
    });
  });

  it('follows no symbolic link to the outside', async () => {
    const path = await write('linked.zarr', array(), null);
    await writeFile(join(folder, 'secret'), secret);
    await symlink(join(folder, 'secret'), join(path, '0', 'c', '0', '0'));
    await expect(read(path)).rejects.toMatchObject({ code: 'corrupt-image' });
  });
});

describe('the declared sizes of an OME-Zarr are checked before memory is allocated', () => {
  const refused = (path: string, code: string, message: RegExp) =>
    expect(read(path)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });

  it('chunks that are larger than its image', async () => {
    const meta = array({
      chunk_grid: { name: 'regular', configuration: { chunk_shape: [1 << 17, 1 << 17] } },
    });
    await refused(await write('chunks.zarr', meta, null), 'unsupported-image', /chunks of 131072×131072/);
  });

  it('a chunk that inflates beyond its size', async () => {
    const bomb = gzipSync(Buffer.alloc(64 << 20));
    expect(bomb.length).toBeLessThan(100_000);
    const meta = array({ codecs: [{ name: 'bytes' }, { name: 'gzip', configuration: { level: 5 } }] });
    await refused(await write('bomb.zarr', meta, bomb), 'corrupt-image', /chunk .*(larger|more)/);
  });

  it('a Blosc chunk whose header declares more than its shape', async () => {
    const chunk = Buffer.alloc(64);
    chunk.set([2, 1, 33, 1]);
    chunk.writeUInt32LE(0x7fff_0000, 4);
    chunk.writeUInt32LE(1 << 16, 8);
    chunk.writeUInt32LE(64, 12);
    const meta = array({ codecs: [{ name: 'bytes' }, { name: 'blosc', configuration: {} }] });
    await refused(await write('blosc.zarr', meta, chunk), 'corrupt-image', /2147418112 bytes/);
  });

  it('a Zstandard chunk whose blocks exceed its shape, with or without a declared size', async () => {
    const meta = array({ codecs: [{ name: 'bytes' }, { name: 'zstd', configuration: {} }] });
    for (const claimed of [SIDE * SIDE, null]) {
      const path = await write(`zstd-bomb-${claimed}.zarr`, meta, zstdOf(claimed, 600));
      await refused(path, 'corrupt-image', /claims \d{7,} bytes; it can hold 4352/);
    }
  });

  it('a chunk of fewer or more bytes than its shape', async () => {
    for (const [name, bytes] of [
      ['short.zarr', 200],
      ['long.zarr', 300],
    ] as const) {
      await refused(await write(name, array(), Buffer.alloc(bytes)), 'corrupt-image', /holds .* not 256/);
    }
  });

  it('a chunk that is stored larger than possible', async () => {
    const path = await write('stored.zarr', array(), Buffer.alloc(4 << 20));
    expect((await stat(join(path, '0', 'c', '0', '0'))).size).toBe(4 << 20);
    await refused(path, 'corrupt-image', /4194304 bytes; at most/);
  });

  it('a field with must_understand false is ignored', async () => {
    const path = await write('extended.zarr', array({ author: { must_understand: false, name: 'x' } }));
    expect((await read(path))[0]).toBe(77);
  });

  it('metadata of many megabytes', async () => {
    const path = await write('wordy.zarr', array());
    const text = JSON.stringify(group(['0'], { note: 'x'.repeat(20 << 20) }));
    await writeFile(join(path, 'zarr.json'), text);
    expect((await readFile(join(path, 'zarr.json'))).length).toBeGreaterThan(16 << 20);
    await refused(path, 'corrupt-image', /bytes; at most/);
  });

  it.each([
    ['levels', group(Array.from({ length: 65 }, () => '0')), array(), /65 levels/],
    ['an invalid shape', group(['0']), array({ shape: [-1, 1e300] }), /shape/],
    ['a shape of another rank', group(['0']), array({ shape: [16] }), /axes|shape/],
    ['a path that is not a string', group([7 as never]), array(), /path/],
    ['an unknown type', group(['0']), array({ data_type: 'toString' }), /toString/],
    ['an invalid grid', group(['0']), array({ chunk_grid: 7 }), /./],
    ['another version of group', { ...group(['0']), zarr_format: 4 }, array(), /zarr_format/],
    ['another version of array', group(['0']), array({ zarr_format: 2 }), /zarr_format/],
    [
      'a fill value out of the range of its type',
      group(['0']),
      array({ fill_value: 256 }),
      /256.* not uint8/,
    ],
    ['a field that must be understood', group(['0']), array({ offset: { must_understand: true } }), /offset/],
    [
      'an invalid codec',
      group(['0']),
      array({ codecs: [{ name: 'bytes', 'config&uration': {} }] }),
      /codecs/,
    ],
  ])('%s', async (what, root, meta, message) => {
    const path = await write(`${what.replaceAll(' ', '-')}.zarr`, meta);
    await writeFile(join(path, 'zarr.json'), JSON.stringify(root));
    await expect(read(path)).rejects.toMatchObject({
      code: expect.stringMatching(/^(corrupt|unsupported)-image$/),
      message: expect.stringMatching(message),
    });
  });
});
