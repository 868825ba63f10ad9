import { basename, dirname, join } from 'node:path';
import type { Rect, Size } from '../../geometry.js';
import type { MaskSink } from '../../sink.js';
import type { Values } from '../halve.js';
import { checkArchivable } from './archive.js';
import { axesOf, levelsOf } from './coordinates.js';
import { type Axis, groupDocuments, imageLabel, multiscales, ngffAttributes, omero } from './documents.js';
import { mostFiles, type ZarrFormat } from './format.js';
import { MultiscaleWriter } from './multiscale-writer.js';
import { archiveTarget, folderTarget, RESULT_ATTRIBUTE, type ZarrTarget } from './target.js';
import { writeDocuments } from './write-documents.js';

const VERSION = '0.5';

/**
 * Writes an OME-Zarr (NGFF 0.5, Zarr 3): a pyramid in shards of gzipped chunks.
 *
 * Labels are the group `labels/NAME` with `image-label`: classes with their names and colours. The root is the same
 * picture as an image, of the same arrays, since a group `labels` belongs to one, and since many readers know no labels.
 * Other masks are the image at the root, with a channel for each class.
 *
 * Memory is that of `Pyramid`, whatever the image's size. The Zarr appears when it is complete.
 */
export class ZarrSink implements MaskSink {
  #plane: number | null = null;

  /** @param indicesOf the indices of a plane of the job by the names of axes */
  constructor(
    private readonly target: ZarrTarget,
    private readonly writer: MultiscaleWriter,
    private readonly indicesOf: (plane: number) => Readonly<Record<string, number>>,
  ) {}

  /**
   * @param kind a ZIP archive, or a folder
   * @param signal ends the making of an archive
   * @throws ConflictError where the folder exists, and is no earlier result
   * @throws UnsupportedOutputError for an archive of too many files
   */
  static async create(
    path: string,
    size: Size,
    format: ZarrFormat,
    kind: 'archive' | 'folder' = 'archive',
    signal?: AbortSignal,
  ): Promise<ZarrSink> {
    if (kind === 'archive') checkArchivable(mostFiles(size, format));
    const named = join(dirname(path), basename(path)); // without a slash at its end: other names are made of it
    const target = await (kind === 'archive' ? archiveTarget(named, signal) : folderTarget(named));
    try {
      const { isDurable } = target;
      const folder = format.isLabels ? join(target.draft, 'labels', format.name) : target.draft;
      const axes = axesOf(format);
      const { sizeZ, sizeT } = format.stack ?? { sizeZ: 1, sizeT: 1 };
      const lengths = { t: sizeT, z: sizeZ };
      const arrays = { version: VERSION, axes, lengths, isDurable } as const;
      const writer = await MultiscaleWriter.create(folder, size, format, arrays);
      await writeGroups(target, format, axes, writer.sizes.length);
      return new ZarrSink(target, writer, (plane) => ({ t: Math.floor(plane / sizeZ), z: plane % sizeZ }));
    } catch (error) {
      await target.discard();
      throw error;
    }
  }

  async writeBand(rect: Rect, data: Values, plane: number): Promise<void> {
    if (plane !== this.#plane) {
      if (this.#plane !== null) await this.writer.end();
      this.writer.begin(this.indicesOf(plane));
      this.#plane = plane;
    }
    await this.writer.writeBand(rect, data);
  }

  async finish(): Promise<void> {
    await this.writer.end();
    await this.target.publish();
  }

  abort(): Promise<void> {
    return this.target.discard();
  }
}

/** Writes the documents of the groups. */
async function writeGroups(
  { draft, isDurable }: ZarrTarget,
  format: ZarrFormat,
  axes: readonly Axis[],
  levels: number,
): Promise<void> {
  const { name, isLabels, classes = [], mpp, stack } = format;
  const write = (path: string, content: Readonly<Record<string, unknown>>, isRoot = false) => {
    const attributes = ngffAttributes(VERSION, content);
    const own = isRoot ? { ...attributes, [RESULT_ATTRIBUTE]: { result: name } } : attributes;
    return writeDocuments(join(draft, path), groupDocuments(VERSION, own), isDurable);
  };
  const px: Readonly<Record<string, number>> = { x: mpp?.x ?? 1, y: mpp?.y ?? 1, z: stack?.zMicrons ?? 1 };
  const imageAt = (prefix: string) =>
    multiscales(VERSION, {
      name,
      axes,
      datasets: levelsOf(
        axes,
        axes.map(({ name }) => px[name] ?? 1),
        null,
        prefix,
        levels,
      ),
      type: isLabels ? 'majority' : 'mean',
    });
  if (!isLabels) {
    const channels = classes.map((known) => ({ ...known, end: 1 }));
    await write(
      '',
      { multiscales: imageAt(''), ...(channels.length > 0 && { omero: omero(channels) }) },
      true,
    );
    return;
  }
  const shown = omero([{ name, colour: null, end: Math.max(1, classes.length - 1) }]);
  await write('', { multiscales: imageAt(`labels/${name}/`), omero: shown }, true);
  await write('labels', { labels: [name] });
  await write(`labels/${name}`, {
    multiscales: imageAt(''),
    'image-label': imageLabel(VERSION, classes, '../../'),
  });
}
