import type { TileBatch } from '../../model/network/frozen.js';
import type { TileGeometry } from '../../model/network/geometry.js';
import { channelConversion } from '../../model/network/pixels.js';
import type { Card } from '../../model/shelf/card.js';
import { chooseTile, planTiles, type Tile } from '../../tiling/plan.js';
import type { Raster } from '../../tiling/raster.js';
import { readTile } from '../../tiling/reader.js';
import { openImage } from '../../tiling/sources/open.js';
import type { OpenOptions } from '../../tiling/sources/options.js';
import { RequestError } from '../contract/errors.js';
import { viewFor } from '../pipeline/model-view.js';
import { normalisationFor } from '../pipeline/normalisation.js';
import type { ImageFile } from './data/dataset-files.js';

/** Tiles of all images together; of each at least one is used. */
const MAX_TILES = 512;

/** What a network sees of an image. */
export interface SampledTile {
  readonly tile: Tile;
  readonly raster: Raster;
  /** How its values become the network's input; undefined where the type decides that. */
  readonly scale: Pick<TileBatch, 'scale'> | undefined;
}

export interface TileSampling {
  readonly card: Card;
  readonly geometry: TileGeometry;
  readonly open: OpenOptions;
}

/**
 * Reads tiles of images as serving would: in its plan, with its border and its intensities. Of large or many images
 * only some are read, at even distances.
 * @throws RequestError `bad-data` for an image that the model cannot take
 */
export async function* sampleTiles(
  files: readonly ImageFile[],
  { card, geometry, open }: TileSampling,
): AsyncGenerator<SampledTile> {
  const most = Math.max(1, Math.floor(MAX_TILES / files.length));
  for (const { image: path, page } of files) {
    const isPlain = !card.channels && (card.inputChannels === 1 || card.inputChannels === 3);
    const first = page !== null || isPlain ? { page: page ?? 0 } : {};
    const image = await openImage(path, { ...open, ...first, ...viewFor(card) });
    try {
      const { channels } = image.facts;
      const conversion = channelConversion(channels, card.inputChannels);
      if (conversion === null) {
        throw new RequestError(
          'bad-data',
          `${path} has ${channels} channels; the model takes ${card.inputChannels}`,
        );
      }
      const normalisation = await normalisationFor(image, { card, conversion, signal: open.signal });
      const scale = normalisation ? { scale: normalisation.tileScale } : undefined;
      const plan = planTiles(image.size, { tile: chooseTile(image.size, 'auto', geometry), rule: geometry });
      const step = Math.ceil(plan.count / most);
      for (const band of plan.bands()) {
        for (const tile of band.tiles) {
          if (tile.index % step === 0)
            yield { tile, raster: await readTile(image, tile.read, open.signal), scale };
        }
      }
    } finally {
      await image.close();
    }
  }
}
