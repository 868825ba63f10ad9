import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Engine } from '../../model/engine/engine.js';
import type { UnetConfig } from '../../model/network/unet.js';
import { pattern } from './rasters.js';
import { type TestTiff, writeTestTiff } from './tiff.js';
import { writeUntrained } from './untrained.js';

/** The channels of a panel. */
export const MARKERS = ['DAPI', 'CD3', 'CD8', 'CD20', 'CD45'];
const [width, height] = [150, 121];

/** A plane of each marker, of 16 bits. */
export const MARKER_PLANES = MARKERS.map((_, i) => {
  const { data } = pattern(width, height, 1, 'uint16');
  return Uint16Array.from(data, (value, at) => ((value * (i + 1) + at * 7 * i) % 65536) / (i + 1));
});

/** Channels of an image, each a plane of 16 bits. */
export interface Panel {
  readonly width: number;
  readonly height: number;
  readonly names: readonly string[];
  readonly planes: readonly Uint16Array[];
}

/** Writes an OME-TIFF with a page for each of these markers. */
export const writeMarkers = (
  path: string,
  order: readonly number[],
  { names = MARKERS, ...options }: Partial<TestTiff> & { readonly names?: readonly string[] } = {},
): Promise<string> => writePanel(path, { width, height, names, planes: MARKER_PLANES }, order, options);

/** Writes an OME-TIFF with a page for each of these channels. */
export async function writePanel(
  path: string,
  { width, height, names, planes }: Panel,
  order: readonly number[],
  options: Partial<TestTiff> = {},
): Promise<string> {
  const channels = order.map((i) => `<Channel SamplesPerPixel="1" Name="${names[i]}"/>`).join('');
  const description =
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels ' +
    `DimensionOrder="XYCZT" SizeX="${width}" SizeY="${height}" SizeC="${order.length}" SizeZ="1" SizeT="1" ` +
    `Type="uint16">${channels}<TiffData/></Pixels></Image></OME>`;
  const pages = order.map((i) => ({ width, height, channels: 1, data: planes[i]! }));
  await writeTestTiff(
    path,
    pages,
    pages.map((_, i) => ({ compression: 8, ...options, ...(i === 0 && { description }) })),
  );
  return path;
}

/** Writes models with the same weights, whose cards differ. */
export async function writeModels(
  models: string,
  inputChannels: number,
  cards: Readonly<Record<string, object>>,
  options: Partial<UnetConfig> = {},
): Promise<void> {
  const engine = Engine.start({ provider: 'cpu', threads: 1 });
  for (const [name, change] of Object.entries(cards)) {
    const unet = { channels: [4, 8], inputChannels, classes: 3, seed: 5, ...options };
    await writeUntrained(engine, join(models, name, '1'), unet, name);
    const path = join(models, name, '1', 'card.json');
    const card = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify({ ...card, ...change }));
  }
  await engine.close();
}
