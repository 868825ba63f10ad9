import { extname } from 'node:path';
import type { OutputKind } from '../../model/network/output-kind.js';
import { UnsupportedOutputError } from '../../tiling/errors.js';
import { COLUMN_BLOCK_PX } from '../../tiling/plan.js';
import type { Plane } from '../../tiling/planes.js';
import { RequestError } from './errors.js';

/** The formats of results: how they are served, and how their files' names end. */
export const FORMATS = {
  png: { type: 'image/png', ending: '.png' },
  tiff: { type: 'image/tiff', ending: '.tif' },
  geojson: { type: 'application/geo+json', ending: '.geojson' },
  csv: { type: 'text/csv', ending: '.csv' },
  json: { type: 'application/json', ending: '.json' },
  raw: { type: 'application/octet-stream', ending: '.raw' },
  zarr: { type: 'application/zip', ending: '.ozx' },
} as const;
export type Format = keyof typeof FORMATS;
/** How the names of OME-Zarrs end that are folders; results of jobs are files, as `FORMATS` has them: ZIP archives. */
const FOLDER_ENDING = '.zarr';
export const FORMAT_NAMES = Object.keys(FORMATS) as [Format, ...Format[]];

/** The masks that a network computes, in one pass if a job needs both. */
export type MaskKind = Exclude<OutputKind, 'both'>;

interface OutputRow {
  /** The formats that it is written in, its default first. */
  readonly formats: readonly [Format, ...Format[]];
  /** The mask that it is made from. */
  readonly mask: MaskKind;
  /**
   * What of that mask it is written from: its bands in the plan's order, whole rows from the top, or the finished
   * file. What needs less is written while the mask is computed.
   */
  readonly needs: 'bands' | 'whole rows' | 'finished mask';
  /** Bytes of its file for each px of the image at most; 0 for what grows with what is found, not with the image. */
  readonly bytesPerPixel: (format: Format, classes: number) => number;
  /** The formats that hold a stack, the default first; none for a picture of one plane. */
  readonly stackFormats: readonly Format[];
}

/** Size of a mask's TIFF or Zarr relative to its pixels, at most: overviews, and what does not compress. */
const PYRAMID = 1.35;
/** Instance numbers are 32 bits wide, and written once more while they are assigned. */
const INSTANCES = 4 * (PYRAMID + 1);

/** Every output. How each is written is in `pipeline/writers.ts`, which the type of this table holds complete. */
const TABLE = {
  labels: {
    formats: ['png', 'tiff', 'raw', 'zarr'],
    mask: 'labels',
    needs: 'bands',
    bytesPerPixel: (format) => (format === 'tiff' || format === 'zarr' ? PYRAMID : 1),
    stackFormats: ['tiff', 'raw', 'zarr'],
  },
  probabilities: {
    formats: ['tiff', 'raw', 'zarr'],
    mask: 'probabilities',
    needs: 'bands',
    bytesPerPixel: (_format, classes) => 4 * classes * PYRAMID,
    stackFormats: ['tiff', 'raw', 'zarr'],
  },
  overlay: {
    formats: ['png'],
    mask: 'labels',
    needs: 'bands',
    bytesPerPixel: () => 3,
    stackFormats: [],
  },
  geojson: {
    formats: ['geojson'],
    mask: 'labels',
    needs: 'whole rows',
    bytesPerPixel: () => 0,
    stackFormats: ['geojson'],
  },
  objects: {
    formats: ['csv', 'json'],
    mask: 'labels',
    needs: 'whole rows',
    bytesPerPixel: () => 0,
    stackFormats: ['csv', 'json'],
  },
  instances: {
    formats: ['tiff'],
    mask: 'labels',
    needs: 'finished mask',
    bytesPerPixel: () => INSTANCES,
    stackFormats: ['tiff'],
  },
  thumbnail: {
    formats: ['png'],
    mask: 'labels',
    needs: 'finished mask',
    bytesPerPixel: () => 0,
    stackFormats: [],
  },
} as const satisfies Record<string, OutputRow>;

export type Output = keyof typeof TABLE;
/** Outputs that are written from a finished mask only. */
export type FinishedOutput = {
  [Name in Output]: (typeof TABLE)[Name]['needs'] extends 'finished mask' ? Name : never;
}[Output];
/** Outputs that can be written while their mask is computed. */
export type StreamedOutput = Exclude<Output, FinishedOutput>;

export const OUTPUTS = Object.keys(TABLE) as [Output, ...Output[]];

/** A file that a job writes. */
export interface ResultFile {
  readonly output: Output;
  readonly format: Format;
  readonly path: string;
  /** How far simplified contours may be from the pixels' sides, in px. Default 0: not at all. */
  readonly simplify?: number;
  /** Of a Zarr: whether it is a folder. Default false: a ZIP archive, a file like other results. */
  readonly isFolder?: boolean;
  /** Of labels as Zarr: their place in the OME-Zarr that is segmented, which `path` is a part of. Default null. */
  readonly intoSource?: IntoSource | null;
}

/** Where labels are written in the OME-Zarr of their image. */
export interface IntoSource {
  /** The folder of the image. */
  readonly store: string;
  /** Of the labels. */
  readonly name: string;
  /** Which level is segmented, from 0. */
  readonly level: number;
  /** Which plane is segmented, where it is no stack. */
  readonly plane: Plane;
}

/** @throws RequestError for an unknown output */
export function parseOutput(text: string): Output {
  const output = OUTPUTS.find((known) => known === text);
  if (!output)
    throw new RequestError('bad-request', `unknown output "${text}": expected ${OUTPUTS.join(', ')}`);
  return output;
}

/** The formats of an output, its default first. */
export const formatsOf = (output: Output): OutputRow['formats'] => TABLE[output].formats;

/**
 * The formats of an output of a stack, its default first.
 * @throws UnsupportedOutputError for a picture of one plane
 */
export function stackFormatsOf(output: Output): OutputRow['formats'] {
  const [first, ...others] = (TABLE[output] as OutputRow).stackFormats;
  if (first) return [first, ...others];
  throw new UnsupportedOutputError(
    `${output} is a picture of one plane: choose that with z and t, such as z=0, or another output of the stack`,
  );
}

/** The outputs that are written as OME-Zarr. */
export const ZARR_OUTPUTS = OUTPUTS.filter((output) => formatsOf(output).includes('zarr'));

/** The mask that an output is made from. */
export const maskOf = (output: Output): MaskKind => TABLE[output].mask;

/** Bytes of a result's file for each px of the image, at most. */
export function bytesPerPixel(
  { output, format }: Pick<ResultFile, 'output' | 'format'>,
  classes: number,
): number {
  const row: OutputRow = TABLE[output];
  return row.bytesPerPixel(format, classes);
}

/** Whether an output is written from a finished mask only. */
export const isFinishedOutput = (output: Output): output is FinishedOutput =>
  TABLE[output].needs === 'finished mask';

/**
 * Whether an output is written while the bands of its mask are computed. Bands are whole rows where the image is no
 * wider than a column block.
 * @param imageWidth in px
 */
export function isStreamed(output: Output, imageWidth: number): boolean {
  switch (TABLE[output].needs) {
    case 'bands':
      return true;
    case 'whole rows':
      return imageWidth <= COLUMN_BLOCK_PX;
    case 'finished mask':
      return false;
  }
}

/** @throws UnsupportedOutputError for an extension of no known format */
export function formatOfFile(path: string): Format {
  if (namesFolder(path)) return 'zarr';
  const ending = extname(path)
    .toLowerCase()
    .replace(/^\.tiff$/, '.tif');
  const format = FORMAT_NAMES.find((known) => FORMATS[known].ending === ending);
  if (format) return format;
  const endings = [...Object.values(FORMATS).map((known) => known.ending), FOLDER_ENDING];
  throw new UnsupportedOutputError(`"${path}" has none of the extensions ${endings.join(', ')}`);
}

/** Whether a result of this path is a folder: an OME-Zarr as most programs write it. */
export const namesFolder = (path: string): boolean =>
  extname(path.replace(/[/\\]+$/, '')).toLowerCase() === FOLDER_ENDING;

/**
 * @param isOfStack whether it is of several planes
 * @throws UnsupportedOutputError for a format that an output is not written in
 */
export function checkOutput(output: Output, format: Format, isOfStack = false): void {
  const formats: readonly Format[] = isOfStack ? stackFormatsOf(output) : formatsOf(output);
  if (!formats.includes(format)) {
    const of = isOfStack && (formatsOf(output) as readonly Format[]).includes(format) ? ' of a stack' : '';
    throw new UnsupportedOutputError(`${output}${of} are written as ${listed(formats)}, not ${format}`);
  }
}

/** Alternatives as a text: `png, tiff or raw`. */
export const listed = (names: readonly string[]): string =>
  new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(names);

/** What the network computes for several outputs together, in one pass. */
export function outputKindOf(results: readonly Pick<ResultFile, 'output'>[]): OutputKind {
  const masks = new Set(results.map(({ output }) => maskOf(output)));
  if (masks.size > 1) return 'both';
  return [...masks][0] ?? 'labels';
}
