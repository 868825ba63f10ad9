import { open, realpath } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UnsupportedImageError } from '../../errors.js';
import { isNameOfGlass } from '../tiff/associated.js';
import { imagesOfGlass } from '../tiff/ome-xml.js';

/** Bytes of a document that are looked at. */
const MAX_BYTES = 16 << 20;

/**
 * Refuses a series that is a slide's label or macro image. bioformats2raw writes the images of a slide as groups that
 * `series` in the attributes of the group `OME` lists, or else `0`, `1`, …; `OME/METADATA.ome.xml` has their names.
 * @throws UnsupportedImageError
 */
export async function refuseSeriesOfGlass(folder: string): Promise<void> {
  const path = await realpath(folder);
  const ome = join(dirname(path), 'OME');
  const xml = await textOf(join(ome, 'METADATA.ome.xml'));
  if (xml === null) return;
  const glass = imagesOfGlass(xml);
  const series = (await seriesOf(ome)) ?? [];
  const name = basename(path);
  if (glass.has(series.includes(name) ? series.indexOf(name) : Number(name))) throw refusal();
}

/** Refuses an image whose own metadata name it as a picture of the glass. */
export function refuseNameOfGlass(name: unknown): void {
  if (typeof name === 'string' && isNameOfGlass(name)) throw refusal();
}

const refusal = () => new UnsupportedImageError("this image of the Zarr is a slide's label or macro image");

/** The paths of the series in the order of the XML's images; null where they are not listed. */
async function seriesOf(ome: string): Promise<readonly unknown[] | null> {
  for (const file of ['zarr.json', '.zattrs']) {
    const text = await textOf(join(ome, file));
    if (text === null) continue;
    try {
      const { attributes, series } = JSON.parse(text);
      const list = series ?? attributes?.ome?.series ?? attributes?.series;
      if (Array.isArray(list)) return list;
    } catch {
      // Damaged: the order is that of the numbers.
    }
  }
  return null;
}

/** The first bytes of a file as text; null where there is none. */
async function textOf(path: string): Promise<string | null> {
  const file = await open(path).catch(() => null);
  if (file === null) return null;
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(size, MAX_BYTES)), { position: 0 });
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
