import { mkdir } from 'node:fs/promises';
import { FileSystemStore } from '@zarrita/storage';
import * as zarr from 'zarrita';
import type { Raster } from '../../tiling/raster.js';

/** Writes an OME-Zarr (0.4) with axes c, y, x: a level for each raster, the largest first, in chunks of 48×32 px. */
export async function writeTestZarr(folder: string, levels: readonly Raster[]): Promise<void> {
  await mkdir(folder);
  const root = zarr.root(new FileSystemStore(folder));
  const [base] = levels as [Raster];
  const datasets = levels.map(({ width }, i) => {
    const scale = [1, base.width / width, base.width / width];
    return { path: String(i), coordinateTransformations: [{ type: 'scale', scale }] };
  });
  const axes = [
    { name: 'c', type: 'channel' },
    { name: 'y', type: 'space', unit: 'micrometer' },
    { name: 'x', type: 'space', unit: 'micrometer' },
  ];
  await zarr.create(root, { attributes: { multiscales: [{ version: '0.4', axes, datasets }] } });
  for (const [i, { data, width, height, channels }] of levels.entries()) {
    const array = await zarr.create(root.resolve(String(i)), {
      shape: [channels, height, width],
      chunkShape: [1, 32, 48],
      dtype: data instanceof Uint8Array ? 'uint8' : 'uint16',
    } as never);
    const planes = data.map((_, at) => {
      const [channel, pixel] = [Math.floor(at / (width * height)), at % (width * height)];
      return data[pixel * channels + channel]!;
    });
    const stride = [width * height, width, 1];
    const values = { data: planes, shape: [channels, height, width], stride };
    await zarr.set(array as never, null, values as never);
  }
}
