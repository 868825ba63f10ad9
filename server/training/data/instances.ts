import { expand } from '../../../tiling/geometry.js';
import type { Dtype } from '../../../tiling/raster.js';
import type { ImageFacts, ImageSource } from '../../../tiling/source.js';
import { IGNORED } from './labels.js';

/**
 * Instance labels as in StarDist and Cellpose: 0 is background, and each other value a cell. A network learns two
 * classes, so touching cells are separated by a line of background: pixels with a 4-neighbour of another cell.
 */
export interface InstanceLabels {
  /** 0 background, 1 cell, `IGNORED` for pixels that do not count. */
  readonly classes: ImageSource;
  /** The number of each pixel's cell, also on the separating lines; 0 for none. */
  readonly cells: ImageSource;
}

/** @param ignore the stored value of pixels that do not count; null for none */
export function instanceLabels(stored: ImageSource, ignore: number | null): InstanceLabels {
  const { size } = stored;
  const read: ImageSource['readRegion'] = async (rect, signal) => {
    const around = expand(rect, 1, size);
    const { data } = await stored.readRegion(around, signal);
    const values = new Uint8Array(rect.width * rect.height);
    const cellAt = (at: number) => (data[at] === ignore ? 0 : data[at]!);
    for (let y = 0, at = 0; y < rect.height; y++) {
      const [hasUp, hasDown] = [rect.y + y > 0, rect.y + y < size.height - 1];
      for (let x = 0; x < rect.width; x++, at++) {
        const from = (rect.y - around.y + y) * around.width + rect.x - around.x + x;
        const cell = cellAt(from);
        if (cell === 0) {
          values[at] = data[from] === ignore ? IGNORED : 0;
          continue;
        }
        const isOther = (exists: boolean, neighbour: number) =>
          exists && cellAt(neighbour) !== 0 && cellAt(neighbour) !== cell;
        const touches =
          isOther(hasUp, from - around.width) ||
          isOther(hasDown, from + around.width) ||
          isOther(rect.x + x > 0, from - 1) ||
          isOther(rect.x + x < size.width - 1, from + 1);
        values[at] = touches ? 0 : 1;
      }
    }
    return { data: values, width: rect.width, height: rect.height, channels: 1 };
  };
  const cells: ImageSource['readRegion'] = async (rect, signal) => {
    const raster = await stored.readRegion(rect, signal);
    return { ...raster, data: raster.data.map((value) => (value === ignore ? 0 : value)) };
  };
  const close = () => stored.close();
  return {
    classes: { size, facts: factsOf('uint8'), overviews: [], readRegion: read, close },
    cells: { size, facts: factsOf(stored.facts.dtype), overviews: [], readRegion: cells, close },
  };
}

const factsOf = (dtype: Dtype): ImageFacts => {
  return { channels: 1, dtype, channelNames: null, mpp: null, notes: [] };
};
