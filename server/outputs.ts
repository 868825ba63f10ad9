import { extname } from 'node:path';
import type { Card } from '../model/card.js';
import type { OutputKind } from '../model/frozen.js';
import { UnsupportedOutputError } from '../tiling/errors.js';
import type { MaskSink } from '../tiling/sink.js';
import { type OverlayColour, OverlaySink } from '../tiling/sinks/overlay.js';
import { PngSink } from '../tiling/sinks/png.js';
import { TiffSink } from '../tiling/sinks/tiff.js';
import type { ImageSource } from '../tiling/source.js';
import { RequestError } from './errors.js';

export const OUTPUTS = ['labels', 'probabilities', 'overlay'] as const;
export type Output = (typeof OUTPUTS)[number];
export const FORMATS = { png: 'image/png', tiff: 'image/tiff' } as const;
export type Format = keyof typeof FORMATS;

export function parseOutput(text: string): Output {
  const output = OUTPUTS.find((known) => known === text);
  if (!output) throw new RequestError('bad-request', `an output is ${OUTPUTS.join(', ')}; not "${text}"`);
  return output;
}

/** What the network computes for an output. */
export const predicted = (output: Output): OutputKind =>
  output === 'probabilities' ? 'probabilities' : 'labels';

/** The format that suits an output best where none is asked for. */
export const defaultFormat = (output: Output): Format => (output === 'probabilities' ? 'tiff' : 'png');

/** @throws UnsupportedOutputError for an ending that says no format */
export function formatOfFile(path: string): Format {
  switch (extname(path).toLowerCase()) {
    case '.png':
      return 'png';
    case '.tif':
    case '.tiff':
      return 'tiff';
    default:
      throw new UnsupportedOutputError(`"${path}" ends in neither .png nor .tif`);
  }
}

/** @throws UnsupportedOutputError for a pair that does not exist */
export function checkOutput(output: Output, format: Format): void {
  if (output === 'probabilities' && format === 'png') {
    throw new UnsupportedOutputError('probabilities are 32-bit floats, which PNG cannot hold; use TIFF');
  }
  if (output === 'overlay' && format === 'tiff') {
    throw new UnsupportedOutputError('overlays are written as PNG');
  }
}

/**
 * Opens the file that a result is written to; it takes labels, or probabilities for that output. The
 * pair of output and format has passed `checkOutput`.
 */
export async function openSink(
  path: string,
  { output, format }: { readonly output: Output; readonly format: Format },
  source: ImageSource,
  card: Card,
): Promise<MaskSink> {
  const { size, mpp } = source;
  const { classes } = card;
  if (output === 'overlay') {
    const png = await PngSink.create(path, size, { channels: 3, mpp });
    return new OverlaySink(
      png,
      source,
      classes.map(({ colour }) => rgbOf(colour)),
    );
  }
  if (format === 'png') return PngSink.create(path, size, { channels: 1, mpp });
  return output === 'labels'
    ? TiffSink.create(path, size, { channels: 1, dtype: 'uint8', mpp, overviews: 'majority', classes })
    : TiffSink.create(path, size, {
        channels: classes.length,
        dtype: 'float32',
        mpp,
        overviews: 'mean',
        classes,
      });
}

export function rgbOf(colour: string | null): OverlayColour {
  if (colour === null) return null;
  const value = Number.parseInt(colour.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}
