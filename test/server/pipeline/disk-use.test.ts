import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { expectedDisk } from '../../../server/pipeline/disk-use.js';
import { TiffSink } from '../../../tiling/sinks/tiff/tiff.js';
import { ZarrSink } from '../../../tiling/sinks/zarr/zarr.js';
import { testFolder } from '../../support/files.js';

const folder = await testFolder();
const classes = ['none', 'cell', 'edge'].map((name) => ({ name, colour: null }));
const planes = 20;

/** Bytes of all files below a path, in whole blocks of a disk. */
async function blocksOf(path: string): Promise<number> {
  const found = await stat(path);
  if (found.isFile()) return Math.ceil(found.size / 4096) * 4096;
  const sizes = await Promise.all((await readdir(path)).map((name) => blocksOf(join(path, name))));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

it.each([
  { width: 1, height: 1 },
  { width: 3, height: 900 },
])('a stack of planes of $width×$height px takes less than is claimed for it', async (size) => {
  for (const output of ['labels', 'probabilities'] as const) {
    const isLabels = output === 'labels';
    const channels = isLabels ? 1 : classes.length;
    const dtype = isLabels ? 'uint8' : 'float32';
    const format = { name: output, channels, dtype, mpp: null, stack: { sizeZ: planes, sizeT: 1 } } as const;
    const values = Array.from(
      { length: size.width * size.height * channels },
      (_, i) => (Math.imul(i, 2654435761) >>> 13) / 7,
    );
    for (const kind of ['tiff', 'zarr'] as const) {
      const path = join(folder, `${output}-${size.height}.${kind}`);
      const sink = await (kind === 'tiff'
        ? TiffSink.create(path, size, { ...format, overviews: isLabels ? 'majority' : 'mean' })
        : ZarrSink.create(path, size, { ...format, isLabels }, 'folder'));
      const data = isLabels ? Uint8Array.from(values) : Float32Array.from(values);
      for (let plane = 0; plane < planes; plane++) {
        await sink.writeBand({ x: 0, y: 0, ...size }, data, plane);
      }
      await sink.finish();
      const taken = await blocksOf(path);
      const demand = { size, maskSize: size, planes };
      const claimed = expectedDisk([{ output, format: kind }], { classes }, demand);
      expect(claimed).toBeGreaterThan(taken);
    }
  }
});
