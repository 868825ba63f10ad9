import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { pattern } from '../../test/support/rasters.js';
import { mutateText } from './mutate-text.js';
import type { Expectation } from './mutation.js';
import type { Random } from './random.js';

/** An OME-Zarr as a set of files. */
export interface ZarrSeed {
  readonly name: string;
  readonly files: ReadonlyMap<string, Buffer>;
  /** The metadata file of the largest level, and the names of that level's chunks. */
  readonly array: string;
  readonly chunks: readonly string[];
  readonly compressed: boolean;
}

/** A damaged OME-Zarr, and the response that it requires. */
export interface ZarrMutation {
  readonly what: string;
  readonly files: ReadonlyMap<string, Buffer>;
  /** Symbolic links: targets by name. */
  readonly links: ReadonlyMap<string, string>;
  readonly expect: Expectation;
}

const SIZE = { width: 90, height: 70 };
const CHUNK = 40;
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

/** OME-Zarr 0.4 and 0.5 with two levels, each uncompressed and compressed. */
export function makeZarrSeeds(): ZarrSeed[] {
  return [true, false].flatMap((compressed) => [buildZarr('0.4', compressed), buildZarr('0.5', compressed)]);
}

function buildZarr(version: '0.4' | '0.5', compressed: boolean): ZarrSeed {
  const multiscales = [
    {
      version,
      axes: [
        { name: 'y', type: 'space', unit: 'micrometer' },
        { name: 'x', type: 'space', unit: 'micrometer' },
      ],
      datasets: ['0', '1'].map((path, i) => ({
        path,
        coordinateTransformations: [{ type: 'scale', scale: [0.5 * 2 ** i, 0.5 * 2 ** i] }],
      })),
    },
  ];
  const old = version === '0.4';
  const files = new Map<string, Buffer>();
  const chunks: string[] = [];
  if (old) files.set('.zgroup', json({ zarr_format: 2 })).set('.zattrs', json({ multiscales }));
  else
    files.set(
      'zarr.json',
      json({ zarr_format: 3, node_type: 'group', attributes: { ome: { version, multiscales } } }),
    );
  for (const level of [0, 1]) {
    const { data, width, height } = pattern(SIZE.width >> level, SIZE.height >> level);
    const shape = [height, width];
    const gzip = { id: 'gzip', level: 1 };
    files.set(
      old ? `${level}/.zarray` : `${level}/zarr.json`,
      old
        ? json({
            zarr_format: 2,
            shape,
            chunks: [CHUNK, CHUNK],
            dtype: '|u1',
            fill_value: 0,
            order: 'C',
            filters: null,
            compressor: compressed ? gzip : null,
            dimension_separator: '/',
          })
        : json({
            zarr_format: 3,
            node_type: 'array',
            shape,
            data_type: 'uint8',
            fill_value: 0,
            attributes: {},
            chunk_grid: { name: 'regular', configuration: { chunk_shape: [CHUNK, CHUNK] } },
            chunk_key_encoding: { name: 'default', configuration: { separator: '/' } },
            codecs: [
              { name: 'bytes' },
              ...(compressed ? [{ name: 'gzip', configuration: { level: 1 } }] : []),
            ],
          }),
    );
    for (let row = 0; row * CHUNK < height; row++) {
      for (let column = 0; column * CHUNK < width; column++) {
        const chunk = Buffer.alloc(CHUNK * CHUNK);
        for (let y = 0; y < Math.min(CHUNK, height - row * CHUNK); y++) {
          const from = (row * CHUNK + y) * width + column * CHUNK;
          const length = Math.min(CHUNK, width - column * CHUNK);
          chunk.set((data as Uint8Array).subarray(from, from + length), y * CHUNK);
        }
        const name = old ? `${level}/${row}/${column}` : `${level}/c/${row}/${column}`;
        files.set(name, compressed ? gzipSync(chunk) : chunk);
        if (level === 0) chunks.push(name);
      }
    }
  }
  const array = old ? '0/.zarray' : '0/zarr.json';
  return { name: `OME-Zarr ${version}${compressed ? ', gzip' : ''}`, files, array, chunks, compressed };
}

/** Damages an OME-Zarr in one place: a metadata file, a chunk, a path or a link. */
export function mutateZarr(seed: ZarrSeed, random: Random): ZarrMutation {
  const { files, array, chunks } = seed;
  const root = files.has('.zattrs') ? '.zattrs' : 'zarr.json';
  const withFile = (name: string, bytes: Buffer | null, what: string, expect: Expectation): ZarrMutation => {
    const changed = new Map(files);
    if (bytes) changed.set(name, bytes);
    else changed.delete(name);
    return { what: `${name}: ${what}`, files: changed, links: new Map(), expect };
  };
  const chunk = random.pick(chunks);
  const stored = files.get(chunk)!;
  switch (random.below(8)) {
    case 0:
    case 1: {
      const name = random.pick([root, array]);
      const { what, text } = mutateText(files.get(name)!.toString(), random);
      return withFile(name, Buffer.from(text), what, 'agrees');
    }
    case 2: {
      const name = random.pick([root, array]);
      const stop = random.below(files.get(name)!.length);
      return withFile(name, files.get(name)!.subarray(0, stop), `cut to ${stop} bytes`, 'refused');
    }
    case 3: {
      const name = random.pick([root, array, chunk]); // a missing chunk holds the fill value
      return withFile(name, null, 'removed', name === chunk ? 'agrees' : 'refused');
    }
    case 4: {
      const stop = random.below(stored.length - 8);
      return withFile(chunk, stored.subarray(0, stop), `cut to ${stop} of ${stored.length} bytes`, 'refused');
    }
    case 5: {
      const changed = Buffer.from(stored);
      const at = random.below(changed.length);
      changed[at]! ^= random.between(1, 255);
      return withFile(chunk, changed, `byte ${at} flipped`, 'agrees');
    }
    case 6: {
      const path = random.pick([
        '../outside',
        '/etc',
        '..%2foutside',
        'http://127.0.0.1:9/0',
        '..\\outside',
        '',
        '0/../../outside',
      ]);
      const text = files
        .get(root)!
        .toString()
        .replace('"path":"0"', `"path":${JSON.stringify(path)}`);
      return withFile(root, Buffer.from(text), `path of the first level set to "${path}"`, 'refused');
    }
    default: {
      const changed = new Map(files);
      changed.delete(chunk);
      return {
        what: `${chunk} replaced by a link out of the folder`,
        files: changed,
        links: new Map([[chunk, '/etc/passwd']]),
        expect: 'refused',
      };
    }
  }
}

/** Writes an OME-Zarr's files and links below a folder. */
export async function writeZarr(
  folder: string,
  { files, links }: Pick<ZarrMutation, 'files' | 'links'>,
): Promise<void> {
  for (const [name, bytes] of files) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), bytes);
  }
  for (const [name, target] of links) await symlink(target, join(folder, name));
}
