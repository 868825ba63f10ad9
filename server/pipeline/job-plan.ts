import type { TestedModel } from '../../model/engine.js';
import type { OutputKind } from '../../model/output-kind.js';
import { type ChannelConversion, channelConversion } from '../../model/pixels.js';
import { UnsupportedImageError } from '../../tiling/errors.js';
import { AUTO_OUTPUT_PX, chooseTile, planTiles, type TileChoice, type TilePlan } from '../../tiling/plan.js';
import { formatBytes } from '../contract/byte-size.js';
import { RequestError } from '../contract/errors.js';
import type { ImageHeader } from '../contract/image-header.js';
import { expectedMemory, MIN_OUTPUT_PX } from './memory.js';
import { formatMicrons } from './model-scale.js';

/** How a job is tiled, and what its user should know about that. */
export interface JobPlan {
  readonly plan: TilePlan;
  readonly conversion: ChannelConversion;
  /** Expected peak of the process that runs it, in bytes. */
  readonly memory: number;
  readonly warnings: readonly string[];
}

export interface PlanOptions {
  readonly tile: TileChoice;
  /** Bytes that the job may take. Default unlimited. */
  readonly memory?: number;
  /** What the network computes. Default labels. */
  readonly output?: OutputKind;
}

/** Pixel sizes whose ratio is at most this count as equal. */
const SAME_SIZE = 1.2;

/**
 * Plans the tiles of an image for a model. `auto` chooses tiles that fit into the memory.
 *
 * @throws TileSizeError for a tile that the model cannot take
 * @throws UnsupportedImageError for channels that the model cannot take
 * @throws RequestError `too-little-memory` for a tile that does not fit
 */
export function planJob(
  { size, facts }: Pick<ImageHeader, 'size' | 'facts'>,
  { card, geometry, exact }: Pick<TestedModel, 'card' | 'geometry' | 'exact'>,
  { tile, memory = Number.POSITIVE_INFINITY, output = 'labels' }: PlanOptions,
): JobPlan {
  const conversion = channelConversion(facts.channels, card.inputChannels);
  const names = facts.channelNames;
  if (conversion === null || (names && conversion !== 'none')) {
    const own = names?.some((name, i) => name !== `channel ${i}`);
    const listed = own ? ` (${names!.map((name, i) => `${i} ${name}`).join(', ')})` : '';
    const example = Array.from({ length: card.inputChannels }, (_, i) => i).join(',');
    const which = names
      ? `: select them with "channels", from 0 to ${names.length - 1}, such as channels=${example}`
      : '';
    throw new UnsupportedImageError(
      `the image has ${facts.channels} channels${listed}, and model ${card.name} takes ${card.inputChannels}${which}`,
    );
  }
  const warnings = [...facts.notes, ...sizeWarnings(facts.mpp?.x, card.micronsPerPixel)];
  let choice = tile;
  if (!geometry.tileable) {
    choice = { width: geometry.smallest, height: geometry.smallest };
    warnings.push('this model resizes its output: it has one tile size, and its tiles do not agree exactly');
  } else if (!exact) {
    // Tile sizes do not agree bit for bit here; one size for all jobs at least makes results repeatable.
    choice = chooseTile({ width: AUTO_OUTPUT_PX, height: AUTO_OUTPUT_PX }, 'auto', geometry);
    warnings.push(
      'this device failed the tiling self-test: one fixed tile size is used instead of the requested one',
    );
  }
  const planFor = (target?: number) => {
    const plan = planTiles(size, {
      tile: chooseTile(size, choice, geometry, target),
      rule: geometry,
    });
    return { plan, memory: expectedMemory(plan, facts, card, { output, memory }) };
  };
  let best = planFor();
  for (
    let target = AUTO_OUTPUT_PX / 2;
    choice === 'auto' && best.memory > memory && target >= MIN_OUTPUT_PX;
    target /= 2
  ) {
    best = planFor(target);
  }
  if (best.memory > memory) {
    const { width, height } = best.plan.tile;
    throw new RequestError(
      'too-little-memory',
      `tiles of ${width}×${height} px take about ${formatBytes(best.memory)}, and ${formatBytes(memory)} are allowed` +
        (choice === 'auto' ? ': raise --memory' : ': take smaller tiles, or "auto", or raise --memory'),
    );
  }
  return { ...best, conversion, warnings };
}

function sizeWarnings(image: number | undefined, model: number | null): string[] {
  if (image === undefined || model === null) return [];
  if (Math.max(image / model, model / image) <= SAME_SIZE) return [];
  return [
    `the image has ${formatMicrons(image)} µm per pixel, and the model was trained at ${formatMicrons(model)}: "mpp=auto" would scale it`,
  ];
}
