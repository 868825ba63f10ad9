import { isTypeRange } from '../../model/network/normalisation.js';
import { type Card, normalisationOf } from '../../model/shelf/card.js';
import type { Size } from '../../tiling/geometry.js';
import type { StackFacts, StackSize } from '../../tiling/planes.js';
import { shrink } from '../../tiling/shrink.js';
import type { MaskSink } from '../../tiling/sink.js';
import { FanoutSink } from '../../tiling/sinks/fanout.js';
import { GeojsonWriter } from '../../tiling/sinks/geojson.js';
import { writeInstances } from '../../tiling/sinks/instances.js';
import { ObjectTable } from '../../tiling/sinks/objects.js';
import { OverlaySink } from '../../tiling/sinks/overlay.js';
import { PngSink } from '../../tiling/sinks/png.js';
import { RawSink } from '../../tiling/sinks/raw.js';
import { RegionSink } from '../../tiling/sinks/regions.js';
import { contrastOf } from '../../tiling/sinks/render.js';
import { writeThumbnail } from '../../tiling/sinks/thumbnail.js';
import { TiffSink } from '../../tiling/sinks/tiff/tiff.js';
import { checkArchivable } from '../../tiling/sinks/zarr/archive.js';
import { mostFiles, type ZarrFormat } from '../../tiling/sinks/zarr/format.js';
import { openSourceLabels } from '../../tiling/sinks/zarr/source-labels.js';
import { ZarrSink } from '../../tiling/sinks/zarr/zarr.js';
import type { ImageSource } from '../../tiling/source.js';
import type { ImageStack } from '../../tiling/stack.js';
import { coloursOf } from '../contract/colours.js';
import {
  type FinishedOutput,
  isFinishedOutput,
  type MaskKind,
  maskOf,
  type ResultFile,
  type StreamedOutput,
} from '../contract/outputs.js';

/** Longest side of the small version of an image by which it is shown. */
const CONTRAST_PX = 1024;

/** What results are written from, besides their mask. */
export interface Subject {
  /** The image that was segmented, in the size of the mask. */
  readonly source: ImageSource;
  /** Its planes, where it was segmented as a stack; null where `source` is all of it. */
  readonly stack: ImageStack | null;
  readonly card: Card;
  readonly signal: AbortSignal;
  /** Called with what a result waits for; undefined where nobody is told. */
  readonly onWait: ((reason: string) => void) | undefined;
}

/** A finished mask, its labels as they are stored, and what it was made from. */
export interface FinishedMask extends Subject {
  readonly mask: ImageSource;
  /** The planes of the mask, which are as those of the image. */
  readonly masks: ImageStack | null;
}

/** How outputs are written while their mask is computed: the sink that takes its bands. */
const OPEN: Readonly<Record<StreamedOutput, (result: ResultFile, subject: Subject) => Promise<MaskSink>>> = {
  labels({ format, path, isFolder, intoSource }, { source, stack, card: { classes }, signal, onWait }) {
    const { size, facts } = source;
    const { mpp } = facts;
    if (intoSource) {
      const planes = stack?.planes ?? [intoSource.plane];
      return openSourceLabels({ ...intoSource, planes }, size, classes, { signal, onWait });
    }
    if (format === 'zarr') {
      const zarr = { ...zarrOf('labels', classes, stack), mpp };
      return ZarrSink.create(path, size, zarr, isFolder ? 'folder' : 'archive', signal);
    }
    if (format === 'raw') return RawSink.create(path, size, 1);
    if (format === 'png') return PngSink.create(path, size, { channels: 1, mpp, isLabels: true });
    const overviews = 'majority';
    return TiffSink.create(path, size, {
      name: 'labels',
      channels: 1,
      dtype: 'uint8',
      mpp,
      overviews,
      classes,
      stack: stack ?? undefined,
    });
  },

  probabilities({ format, path, isFolder }, { source, stack, card: { classes }, signal }) {
    const { size, facts } = source;
    const { mpp } = facts;
    const channels = classes.length;
    if (format === 'zarr') {
      const zarr = { ...zarrOf('probabilities', classes, stack), mpp };
      return ZarrSink.create(path, size, zarr, isFolder ? 'folder' : 'archive', signal);
    }
    if (format === 'raw') return RawSink.create(path, size, channels);
    const overviews = 'mean';
    return TiffSink.create(path, size, {
      name: 'probabilities',
      channels,
      dtype: 'float32',
      mpp,
      overviews,
      classes,
      stack: stack ?? undefined,
    });
  },

  async overlay({ path }, { source, card, signal }) {
    const { size, facts } = source;
    // values that a model normalises by itself are shown as thumbnails show them
    const isOwn = !isTypeRange(normalisationOf(card)) && facts.dtype !== 'uint8';
    const contrast = isOwn ? contrastOf((await shrink(source, CONTRAST_PX, signal)).raster) : null;
    const png = await PngSink.create(path, size, { channels: 3, mpp: facts.mpp });
    return new OverlaySink(png, source, coloursOf(card), contrast);
  },

  async geojson({ path, simplify = 0 }, { source: { size, facts }, stack, card: { classes } }) {
    const writer = await GeojsonWriter.create(path, classes, size, facts.fullSize ?? size, simplify);
    return new RegionSink(size, [writer], { contours: true, source: null, stack });
  },

  async objects({ format, path }, { source, stack, card: { classes } }) {
    const { size, facts } = source;
    const channels = facts.channelNames ?? (facts.channels === 3 ? ['red', 'green', 'blue'] : ['intensity']);
    const writer = await ObjectTable.create(path, format === 'csv' ? 'csv' : 'json', {
      classes,
      mpp: facts.mpp,
      channels,
      isStack: stack !== null,
    });
    return new RegionSink(size, [writer], { contours: false, source, stack });
  },
};

/** What the OME-Zarr of a mask holds, except for the size of its px. */
function zarrOf(mask: MaskKind, classes: Card['classes'], stack: StackFacts | null): Omit<ZarrFormat, 'mpp'> {
  const common = { classes, stack: stack ?? undefined };
  return mask === 'labels'
    ? { ...common, name: 'classes', isLabels: true, channels: 1, dtype: 'uint8' }
    : { ...common, name: 'probabilities', isLabels: false, channels: classes.length, dtype: 'float32' };
}

/**
 * Checks that results which are archives can be served, before any is computed.
 * @throws UnsupportedOutputError for a stack whose OME-Zarr would have too many files
 */
export function checkArchives(
  results: readonly Pick<ResultFile, 'output' | 'format'>[],
  { classes }: Pick<Card, 'classes'>,
  size: Size,
  stack: StackSize | null,
): void {
  for (const { output, format } of results) {
    if (format !== 'zarr') continue;
    checkArchivable(mostFiles(size, { ...zarrOf(maskOf(output), classes, stack), mpp: null }));
  }
}

/** How outputs are written that need their mask to be finished. */
const WRITE: Readonly<Record<FinishedOutput, (path: string, mask: FinishedMask) => Promise<void>>> = {
  instances: (path, { mask, masks, source, signal }) =>
    writeInstances(mask, path, { mpp: source.facts.mpp, scratch: `${path}.ids`, stack: masks, signal }),

  thumbnail: (path, { mask, source, card, signal }) =>
    writeThumbnail(source, mask, path, coloursOf(card), signal),
};

/**
 * Opens the files of results that one mask is streamed to, as one sink. Every pair of output and format has passed
 * `checkOutput`. On failure nothing of them is left.
 */
export async function openResults(results: readonly ResultFile[], subject: Subject): Promise<MaskSink> {
  const sinks: MaskSink[] = [];
  try {
    for (const result of results) {
      if (isFinishedOutput(result.output)) throw new Error(`${result.output} needs a finished mask`);
      sinks.push(await OPEN[result.output](result, subject));
    }
  } catch (error) {
    await new FanoutSink(sinks).abort();
    throw error;
  }
  return sinks.length === 1 ? sinks[0]! : new FanoutSink(sinks);
}

/** Writes a result that needs a finished mask. */
export const writeResult = (output: FinishedOutput, path: string, mask: FinishedMask): Promise<void> =>
  WRITE[output](path, mask);
