import type { EngineModel, TestedModel } from '../../model/engine.js';
import type { OutputKind } from '../../model/output-kind.js';
import { type ChannelConversion, channelConversion } from '../../model/pixels.js';
import { UnsupportedImageError } from '../../tiling/errors.js';
import type { Size } from '../../tiling/geometry.js';
import {
  AUTO_OUTPUT_PX,
  chooseTile,
  haloText,
  planTiles,
  type TileChoice,
  type TilePlan,
} from '../../tiling/plan.js';
import { factsAtSize, resampleLinear } from '../../tiling/resample.js';
import type { ImageSource } from '../../tiling/source.js';
import { formatBytes } from '../contract/byte-size.js';
import { RequestError } from '../contract/errors.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { WorkSpec } from '../contract/job-spec.js';
import { expectedMemory, LEAST_OUTPUT_PX } from './memory.js';

/** How a job will be done, and what its user should know. */
export interface JobPlan {
  readonly plan: TilePlan;
  readonly conversion: ChannelConversion;
  /** Bytes that it takes at most, in the process that runs it. */
  readonly memory: number;
  readonly warnings: readonly string[];
}

export interface PlanWishes {
  readonly tile: TileChoice;
  /** Bytes that a job may take. Default any. */
  readonly memory?: number;
  /** What the network makes. Default labels. */
  readonly output?: OutputKind;
}

/** Pixel sizes that differ by no more are the same. */
const SAME_SIZE = 1.2;
/** `auto` scales an image by no more, up or down. */
const MAX_SCALE = 64;

/**
 * Brings an image, a model and a choice of tile together. `auto` takes tiles that fit into the memory.
 *
 * @throws TileSizeError for a tile that the model cannot take
 * @throws UnsupportedImageError for channels that the model cannot take
 * @throws RequestError `too-little-memory` for a tile that does not fit
 */
export function planJob(
  { size, facts }: Pick<ImageHeader, 'size' | 'facts'>,
  { card, geometry, exact }: Pick<TestedModel, 'card' | 'geometry' | 'exact'>,
  { tile, memory = Number.POSITIVE_INFINITY, output = 'labels' }: PlanWishes,
): JobPlan {
  const conversion = channelConversion(facts.channels, card.inputChannels);
  const names = facts.channelNames;
  if (conversion === null || (names && conversion !== 'none')) {
    const own = names?.some((name, i) => name !== `channel ${i}`);
    const listed = own ? ` (${names!.map((name, i) => `${i} ${name}`).join(', ')})` : '';
    const example = Array.from({ length: card.inputChannels }, (_, i) => i).join(',');
    const which = names
      ? `: say which with "channels", from 0 to ${names.length - 1}, such as channels=${example}`
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
    // Where sizes do not agree bit for bit, one size for all at least makes results repeatable.
    choice = chooseTile({ width: AUTO_OUTPUT_PX, height: AUTO_OUTPUT_PX }, 'auto', geometry);
    warnings.push('this device failed the tiling test: one fixed tile size is used, whatever was asked for');
  }
  const planned = (target?: number) => {
    const plan = planTiles(size, {
      tile: chooseTile(size, choice, geometry, target),
      rule: geometry,
    });
    return { plan, memory: expectedMemory(plan, facts, card, { output, memory }) };
  };
  let best = planned();
  for (
    let target = AUTO_OUTPUT_PX / 2;
    choice === 'auto' && best.memory > memory && target >= LEAST_OUTPUT_PX;
    target /= 2
  ) {
    best = planned(target);
  }
  if (best.memory > memory) {
    const { width, height } = best.plan.tile;
    throw new RequestError(
      'too-little-memory',
      `tiles of ${width}×${height} px take some ${formatBytes(best.memory)}; ${formatBytes(memory)} are allowed` +
        (choice === 'auto' ? ': raise --memory' : ': take smaller tiles, or "auto", or raise --memory'),
    );
  }
  return { ...best, conversion, warnings };
}

function sizeWarnings(image: number | undefined, model: number | null): string[] {
  if (image === undefined || model === null) return [];
  if (Math.max(image / model, model / image) <= SAME_SIZE) return [];
  return [
    `the image has ${round(image)} µm a pixel, and the model learned from ${round(model)}: "mpp=auto" would scale it`,
  ];
}

/**
 * The size in which an image has the pixels that a model learned from, and the smallest of its levels that is no
 * coarser.
 *
 * @throws RequestError where either pixel size is unknown, or they are too far apart to be true
 */
function scaleOf(
  { facts: { mpp }, size, overviews }: ImageHeader,
  { card }: Pick<EngineModel, 'card'>,
): { readonly size: Size; readonly level: number } {
  if (card.micronsPerPixel === null) {
    throw new RequestError('bad-request', `model ${card.name} does not say from which pixel size it learned`);
  }
  if (mpp === null) {
    throw new RequestError(
      'bad-request',
      'the image does not say its pixel size: give it, such as mpp=auto,0.25',
    );
  }
  const ratio = { x: card.micronsPerPixel / mpp.x, y: card.micronsPerPixel / mpp.y };
  if (Math.max(ratio.x, 1 / ratio.x, ratio.y, 1 / ratio.y) > MAX_SCALE) {
    throw new RequestError(
      'bad-request',
      `the image says ${round(mpp.x)} µm a pixel, and the model learned from ${card.micronsPerPixel}: ` +
        'give the true pixel size, such as mpp=auto,0.25',
    );
  }
  const target = {
    width: Math.max(1, Math.round(size.width / ratio.x)),
    height: Math.max(1, Math.round(size.height / ratio.y)),
  };
  const level = overviews.findLastIndex((reader) => reader.size.width * 1.01 >= target.width) + 1;
  return { size: target, level };
}

/** An image at the pixel size that a model learned from, and which of its levels it is read from. */
export function atModelScale(
  source: ImageSource,
  model: Pick<EngineModel, 'card'>,
): { readonly source: ImageSource; readonly level: number } {
  const { size, level } = scaleOf(source, model);
  return { source: resampleLinear(source, [source, ...source.overviews][level]!, size), level };
}

/** The same of a header: what `planJob` sees of that image. */
export function headerAtModelScale(header: ImageHeader, model: Pick<EngineModel, 'card'>): ImageHeader {
  const { size } = scaleOf(header, model);
  return { size, facts: factsAtSize(header, size), overviews: [] };
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

/**
 * The probability from which a pixel has the second of two classes; null where the greater one decides.
 * @throws RequestError for a model of other classes, for a card without one, and beside probabilities
 */
export function thresholdOf(
  { threshold = null }: Pick<WorkSpec, 'threshold'>,
  { card }: Pick<EngineModel, 'card'>,
  output: OutputKind,
): number | null {
  if (threshold === null) return null;
  const refuse = (why: string) => new RequestError('bad-request', `parameter "threshold": ${why}`);
  if (card.classes.length !== 2) {
    throw refuse(
      `it is for models of two classes, and ${card.name} has ${card.classes.length}: leave it out`,
    );
  }
  if (output === 'probabilities')
    throw refuse('it makes labels of probabilities: leave it out, or ask for labels');
  if (threshold !== 'card') return threshold;
  if (card.threshold === undefined)
    throw refuse(`the card of ${card.name} has none: give a number, such as 0.3`);
  return card.threshold;
}

const round = (microns: number): string => String(Number(microns.toPrecision(3)));
