import type { EngineModel } from '../model/engine.js';
import { type ChannelConversion, channelConversion } from '../model/normalize.js';
import { UnsupportedImageError } from '../tiling/errors.js';
import {
  AUTO_OUTPUT_PX,
  chooseTile,
  haloText,
  planTiles,
  type TileChoice,
  type TilePlan,
} from '../tiling/plan.js';
import type { ImageSource } from '../tiling/source.js';
import { RequestError } from './errors.js';

/** How a job will be done, and what its user should know. */
export interface JobPlan {
  readonly plan: TilePlan;
  readonly conversion: ChannelConversion;
  readonly warnings: readonly string[];
}

/**
 * Brings an image, a model and a choice of tile together.
 *
 * @throws TileSizeError for a tile that the model cannot take
 * @throws UnsupportedImageError for channels that the model cannot take
 */
export function planJob(
  source: Pick<ImageSource, 'size' | 'channels' | 'channelNames' | 'notes'>,
  { card, geometry, exact }: Pick<EngineModel, 'card' | 'geometry' | 'exact'>,
  tile: TileChoice,
): JobPlan {
  const conversion = channelConversion(source.channels, card.inputChannels);
  const names = source.channelNames;
  if (conversion === null || (names && conversion !== 'none')) {
    const which = names
      ? `: choose with "channels" from ${names.map((name, i) => `${i} ${name}`).join(', ')}`
      : '';
    throw new UnsupportedImageError(
      `the image has ${source.channels} channels; model ${card.name} takes ${card.inputChannels}${which}`,
    );
  }
  const warnings = [...source.notes];
  let choice = tile;
  if (!geometry.tileable) {
    choice = { width: geometry.smallest, height: geometry.smallest };
    warnings.push('this model resizes its output: it has one tile size, and its tiles do not agree exactly');
  } else if (!exact) {
    // Where sizes do not agree bit for bit, one size for all at least makes results repeatable.
    choice = chooseTile({ width: AUTO_OUTPUT_PX, height: AUTO_OUTPUT_PX }, 'auto', geometry);
    warnings.push('this device failed the tiling test: one fixed tile size is used, whatever was asked for');
  }
  const plan = planTiles(source.size, {
    tile: chooseTile(source.size, choice, geometry),
    rule: geometry,
  });
  return { plan, conversion, warnings };
}

/**
 * Turned and mirrored, a tile still shows what its pixels need only where its halo is even.
 * @throws RequestError for a network whose halo is not
 */
export function checkSymmetries({ card, geometry: { halo } }: Pick<EngineModel, 'card' | 'geometry'>): void {
  if (halo.top === halo.bottom && halo.left === halo.right && halo.top === halo.left) return;
  throw new RequestError(
    'bad-request',
    `model ${card.name} cannot be averaged over symmetries (tta): its halo is ${haloText(halo)}`,
  );
}
