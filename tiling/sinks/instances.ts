import type { Rect, Size } from '../geometry.js';
import { IdMap } from '../regions/id-map.js';
import { RegionSweep } from '../regions/sweep.js';
import type { PixelReader, PixelSize } from '../source.js';
import type { ImageStack } from '../stack.js';
import { TiffSink } from './tiff/tiff.js';

/** Rows that are read at a time: as high as the tiles of our own masks. */
const ROWS = 256;

/** Reads a mask from top to bottom, some whole rows at a time. */
export async function* wholeRows(
  mask: PixelReader,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly rect: Rect; readonly labels: Uint8Array }> {
  const { width, height } = mask.size;
  for (let y = 0; y < height; y += ROWS) {
    const rect = { x: 0, y, width, height: Math.min(ROWS, height - y) };
    const { data } = await mask.readRegion(rect, signal);
    yield { rect, labels: data as Uint8Array };
  }
}

export interface InstanceOptions {
  readonly mpp: PixelSize | null;
  /** Path of a temporary file, which is removed. */
  readonly scratch: string;
  /** The planes of a mask that is a stack: ids are those of the whole stack. Default null. */
  readonly stack?: ImageStack | null;
  readonly signal?: AbortSignal;
}

/**
 * Writes the regions of a mask as a TIFF whose values are their ids, 0 for background. Each plane is read twice:
 * a region's id is known only where it ends.
 */
export async function writeInstances(
  mask: PixelReader,
  path: string,
  { mpp, scratch, stack = null, signal }: InstanceOptions,
): Promise<void> {
  const sink = await TiffSink.create(path, mask.size, {
    name: 'instances',
    channels: 1,
    dtype: 'uint32',
    mpp,
    overviews: 'majority',
    order: 'rows',
    stack: stack ?? undefined,
  });
  try {
    let idsBefore = 0;
    for (let plane = 0; plane < (stack?.planes.length ?? 1); plane++) {
      const reader = stack?.source(plane) ?? mask;
      idsBefore = await paintPlane(reader, sink, { scratch, plane, idsBefore, signal });
    }
    await sink.finish();
  } catch (error) {
    await sink.abort();
    throw error;
  }
}

/** Paints the regions of one plane; returns how many ids there are then. */
async function paintPlane(
  mask: PixelReader,
  sink: TiffSink,
  {
    scratch,
    plane,
    idsBefore,
    signal,
  }: {
    readonly scratch: string;
    readonly plane: number;
    readonly idsBefore: number;
    readonly signal: AbortSignal | undefined;
  },
): Promise<number> {
  const ids = new IdMap(scratch);
  try {
    const options = { width: mask.size.width, channels: 0, contours: false, idsBefore, onRegion: () => {} };
    const numbering = new RegionSweep({
      ...options,
      onMerge: (serial, into) => ids.merge(serial, into),
      onId: (serial, id) => ids.setId(serial, id),
    });
    for await (const { rect, labels } of wholeRows(mask, signal)) {
      for (const row of rowsOf(labels, rect)) numbering.row(row);
    }
    numbering.finish();
    const painting = new RegionSweep(options);
    for await (const { rect, labels } of wholeRows(mask, signal)) {
      const painted = new Uint32Array(labels.length);
      let at = 0;
      for (const row of rowsOf(labels, rect)) {
        painting.row(row, null, (start, stop, serial) =>
          painted.fill(ids.idOf(serial), at + start, at + stop),
        );
        at += rect.width;
      }
      await sink.writeBand(rect, painted, plane);
    }
    return numbering.count;
  } finally {
    ids.close();
  }
}

function* rowsOf(labels: Uint8Array, { width }: Size): Generator<Uint8Array> {
  for (let at = 0; at < labels.length; at += width) yield labels.subarray(at, at + width);
}
