import { extname } from 'node:path';
import type { Card } from '../../model/card.js';
import type { OutputKind } from '../../model/output-kind.js';
import { UnsupportedOutputError } from '../../tiling/errors.js';
import { COLUMN_BLOCK_PX } from '../../tiling/plan.js';
import type { MaskSink } from '../../tiling/sink.js';
import { FanoutSink } from '../../tiling/sinks/fanout.js';
import { GeojsonWriter } from '../../tiling/sinks/geojson.js';
import { ObjectTable } from '../../tiling/sinks/objects.js';
import { OverlaySink } from '../../tiling/sinks/overlay.js';
import { PngSink } from '../../tiling/sinks/png.js';
import { RegionSink } from '../../tiling/sinks/regions.js';
import { TiffSink } from '../../tiling/sinks/tiff/tiff.js';
import type { ImageSource } from '../../tiling/source.js';
import { coloursOf } from './colours.js';
import { RequestError } from './errors.js';

export const FORMATS = {
  png: { type: 'image/png', ending: '.png' },
  tiff: { type: 'image/tiff', ending: '.tif' },
  geojson: { type: 'application/geo+json', ending: '.geojson' },
  csv: { type: 'text/csv', ending: '.csv' },
  json: { type: 'application/json', ending: '.json' },
} as const;
export type Format = keyof typeof FORMATS;

/** Every output, and the formats that it is written in; the first is its default. */
const OUTPUT_FORMATS = {
  labels: ['png', 'tiff'],
  probabilities: ['tiff'],
  overlay: ['png'],
  geojson: ['geojson'],
  objects: ['csv', 'json'],
  instances: ['tiff'],
  thumbnail: ['png'],
} as const satisfies Record<string, readonly Format[]>;
export type Output = keyof typeof OUTPUT_FORMATS;
export const OUTPUTS = Object.keys(OUTPUT_FORMATS) as [Output, ...Output[]];

/** A file that a job writes. */
export interface ResultFile {
  readonly output: Output;
  readonly format: Format;
  readonly path: string;
  /** How far simplified contours may be from the pixels' sides, in px. Default 0: not at all. */
  readonly simplify?: number;
}

export function parseOutput(text: string): Output {
  const output = OUTPUTS.find((known) => known === text);
  if (!output) throw new RequestError('bad-request', `an output is ${OUTPUTS.join(', ')}; not "${text}"`);
  return output;
}

/** The mask that an output is made of. */
export const predicted = (output: Output): 'labels' | 'probabilities' =>
  output === 'probabilities' ? 'probabilities' : 'labels';

/** The format that suits an output best where none is asked for. */
export const defaultFormat = (output: Output): Format => OUTPUT_FORMATS[output][0];

/** The formats of an output, the default first. */
export const formatsOf = (output: Output): readonly Format[] => OUTPUT_FORMATS[output];

/** @throws UnsupportedOutputError for an ending that says no format */
export function formatOfFile(path: string): Format {
  const ending = extname(path)
    .toLowerCase()
    .replace(/^\.tiff$/, '../.tif');
  const format = (Object.keys(FORMATS) as Format[]).find((known) => FORMATS[known].ending === ending);
  if (format) return format;
  const endings = Object.values(FORMATS).map((known) => known.ending);
  throw new UnsupportedOutputError(`"${path}" ends in none of ${endings.join(', ')}`);
}

/** @throws UnsupportedOutputError for a pair that does not exist */
export function checkOutput(output: Output, format: Format): void {
  const formats: readonly Format[] = OUTPUT_FORMATS[output];
  if (!formats.includes(format)) {
    throw new UnsupportedOutputError(`${output} are written as ${formats.join(' or ')}, not ${format}`);
  }
}

/** What the network computes for several outputs together, in one pass. */
export function predictedFor(results: readonly Pick<ResultFile, 'output'>[]): OutputKind {
  const kinds = new Set(results.map(({ output }) => predicted(output)));
  if (kinds.size > 1) return 'both';
  return [...kinds][0] ?? 'labels';
}

/**
 * Opens the files that results of one mask are written to, as one sink: of labels, or of probabilities. Every pair of output and format has passed `checkOutput`.
 */
export async function openSinks(
  results: readonly ResultFile[],
  source: ImageSource,
  card: Card,
): Promise<MaskSink> {
  const sinks: MaskSink[] = [];
  try {
    for (const result of results) sinks.push(await openSink(result, source, card));
  } catch (error) {
    await new FanoutSink(sinks).abort();
    throw error;
  }
  return sinks.length === 1 ? sinks[0]! : new FanoutSink(sinks);
}

async function openSink(
  { output, format, path, simplify = 0 }: ResultFile,
  source: ImageSource,
  card: Card,
): Promise<MaskSink> {
  const { size, mpp, channelNames } = source;
  const { classes } = card;
  switch (output) {
    case 'overlay':
      return PngSink.create(path, size, { channels: 3, mpp }).then(
        (png) => new OverlaySink(png, source, coloursOf(card)),
      );
    case 'labels':
      if (format === 'png') return PngSink.create(path, size, { channels: 1, mpp });
      return TiffSink.create(path, size, {
        name: output,
        channels: 1,
        dtype: 'uint8',
        mpp,
        overviews: 'majority',
        classes,
      });
    case 'probabilities': {
      const channels = classes.length;
      return TiffSink.create(path, size, {
        name: output,
        channels,
        dtype: 'float32',
        mpp,
        overviews: 'mean',
        classes,
      });
    }
    case 'geojson': {
      const writer = await GeojsonWriter.create(path, classes, size, source.fullSize ?? size, simplify);
      return new RegionSink(size, [writer], { contours: true, source: null });
    }
    case 'objects': {
      const channels = channelNames ?? (source.channels === 3 ? ['red', 'green', 'blue'] : ['intensity']);
      const writer = await ObjectTable.create(path, format === 'csv' ? 'csv' : 'json', {
        classes,
        mpp,
        channels,
      });
      return new RegionSink(size, [writer], { contours: false, source });
    }
    case 'instances':
    case 'thumbnail':
      throw new Error(`${output} is made of the finished mask`);
  }
}

/**
 * Whether an output is written while the bands of a mask come; the others are made of the finished mask.
 * Regions are found in whole rows: bands that are as wide as the image.
 */
export function isStreamed(output: Output, imageWidth: number): boolean {
  if (output === 'instances' || output === 'thumbnail') return false;
  return (output !== 'geojson' && output !== 'objects') || imageWidth <= COLUMN_BLOCK_PX;
}
