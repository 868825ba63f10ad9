import { type ComputeChoice, divideThreads } from '../../model/compute-choice.js';
import type { TestedModel } from '../../model/engine/engine.js';
import { channelText } from '../../model/network/channel-text.js';
import type { TileGeometry } from '../../model/network/geometry.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import { type ChannelConversion, channelConversion } from '../../model/network/pixels.js';
import type { Card } from '../../model/shelf/card.js';
import { UnsupportedImageError } from '../../tiling/errors.js';
import type { Size } from '../../tiling/geometry.js';
import { AUTO_OUTPUT_PX, chooseTile, planTiles, type TileChoice, type TilePlan } from '../../tiling/plan.js';
import type { ImageFacts } from '../../tiling/source.js';
import { formatBytes } from '../contract/byte-size.js';
import { RequestError } from '../contract/errors.js';
import type { ImageHeader } from '../contract/image-header.js';
import {
  computeBytes,
  expectedMemory,
  gpuFits,
  INTERACTIVE_BYTES,
  jobBytes,
  MIN_OUTPUT_PX,
  maxBatchPixels,
} from './memory.js';
import { formatMicrons } from './model-scale.js';

/** How a job is tiled, and what its user should know about that. */
export interface JobPlan {
  readonly plan: TilePlan;
  /** The model's choice, with fewer lanes and smaller batches where the memory needs it. */
  readonly choice: ComputeChoice;
  readonly conversion: ChannelConversion;
  /** Expected peak of the process that runs it, in bytes. */
  readonly memory: number;
  /** Of `memory`, what the job takes by itself, beside what is shared with others. */
  readonly jobMemory: number;
  /** Of `memory`, what the model takes that computes it: shared with other jobs. */
  readonly computeMemory: number;
  readonly warnings: readonly string[];
}

export interface PlanOptions {
  readonly tile: TileChoice;
  /** What `auto` takes where the model accepts it and it fits, such as the tile of an interrupted run. Default none. */
  readonly preferred?: Size | null | undefined;
  /** Bytes that the job may take. Default unlimited. */
  readonly memory?: number;
  /** Bytes of `memory` for what is not the job's: other models, JavaScript's heap. Default 0. */
  readonly reserved?: number;
  /** Bytes of each GPU's memory that models may take. Default: they are computed in the process. */
  readonly gpuBytes?: number | undefined;
  /** Bytes of `memory` for the tile cache. Default 0. */
  readonly tileCache?: number;
  /** Threads of a lane, at most. Default unlimited: all that there are. */
  readonly laneThreads?: number;
  /** Tiles of a batch. Default: as many as suit the model and the memory. */
  readonly batch?: number | undefined;
  /** What the network computes. Default labels. */
  readonly output?: OutputKind;
  /** Planes of a stack. Default 1. */
  readonly planes?: number;
}

/** Pixel sizes whose ratio is at most this count as equal. */
const SAME_SIZE = 1.2;

/**
 * Plans the tiles of an image for a model. Fewer lanes than the model's run tiles that would not fit into the memory
 * otherwise, and `auto` chooses smaller ones. Where that is possible, an interactive job fits beside it.
 *
 * @throws TileSizeError for a tile that the model cannot take
 * @throws UnsupportedImageError for channels that the model cannot take
 * @throws RequestError `too-little-memory` for a tile that does not fit
 */
export function planJob(
  { size, facts }: Pick<ImageHeader, 'size' | 'facts'>,
  { card, geometry, exact, choice: suggested }: Pick<TestedModel, 'card' | 'geometry' | 'exact' | 'choice'>,
  {
    tile,
    memory = Number.POSITIVE_INFINITY,
    reserved = 0,
    gpuBytes,
    tileCache = 0,
    laneThreads = Number.POSITIVE_INFINITY,
    batch,
    preferred,
    output = 'labels',
    planes = 1,
  }: PlanOptions,
): JobPlan {
  const conversion = conversionOf(facts, card);
  const { tile: usable, warnings } = usableTile(tile, geometry, exact);
  const available = memory - reserved;
  const planFor = (wanted: ComputeChoice, tileChoice: TileChoice) => {
    const chosen = chooseTile(size, tileChoice, geometry, wanted.tile);
    const plan = planTiles(size, { tile: chosen, rule: geometry, planes });
    const fitting = Math.min(
      wanted.batch,
      maxBatchPixels(card, wanted.lanes, { memory: available - tileCache, gpuBytes }),
    );
    const requested = batch && batch * plan.tile.width * plan.tile.height;
    const choice = { ...wanted, batch: requested ?? fitting };
    const expected = expectedMemory(plan, facts, card, { output, choice, tileCache, gpuBytes });
    const jobMemory = jobBytes(plan, facts, card, { output, choice });
    const computeMemory = computeBytes(plan, card, { choice, gpuBytes });
    return { plan, choice, memory: expected, jobMemory, computeMemory };
  };
  const plansOf = (chosen: TileChoice) =>
    [...smallerChoices(suggested, chosen, laneThreads)].map((wanted) => planFor(wanted, chosen));
  const fitsGpu = ({ plan: { tile } }: ReturnType<typeof planFor>) =>
    gpuFits(card, tile.width * tile.height, gpuBytes);
  const fittingOf = (plans: ReturnType<typeof plansOf>) =>
    plans.filter(fitsGpu).find(({ memory }) => memory <= available - INTERACTIVE_BYTES) ??
    plans.filter(fitsGpu).find(({ memory }) => memory <= available);
  const earlier = usable === 'auto' && preferred && accepts(geometry, preferred) ? preferred : null;
  const plans = plansOf(usable);
  const best = (earlier && fittingOf(plansOf(earlier))) ?? fittingOf(plans);
  if (!best) {
    const smallest = plans.at(-1)!;
    const { width, height } = smallest.plan.tile;
    if (!fitsGpu(smallest)) {
      const message = `tiles of ${width}×${height} px do not fit into the ${formatBytes(gpuBytes!)} of the GPU's memory that models may take`;
      throw new RequestError('too-little-memory', `${message}: take smaller tiles, or --device cpu`);
    }
    throw new RequestError(
      'too-little-memory',
      `tiles of ${width}×${height} px take about ${formatBytes(smallest.memory + reserved)}, and ${formatBytes(memory)} are allowed` +
        (usable === 'auto' ? ': raise --memory' : ': take smaller tiles, or "auto", or raise --memory'),
    );
  }
  const ofSize = sizeWarnings(facts.mpp?.x, card.micronsPerPixel);
  return { ...best, conversion, warnings: [...facts.notes, ...ofSize, ...warnings] };
}

const accepts = ({ smallest, multiple }: TileGeometry, { width, height }: Size): boolean =>
  [width, height].every((side) => side >= smallest && (side - smallest) % multiple === 0);

/** A choice, and those that take less memory than the one before. */
function* smallerChoices(
  choice: ComputeChoice,
  requested: TileChoice,
  laneThreads: number,
): Generator<ComputeChoice> {
  for (let next: ComputeChoice | null = choice; next; next = smallerChoice(next, requested, laneThreads)) {
    yield next;
  }
}

/** A choice that takes less memory: fewer lanes of more threads, then smaller tiles where `auto` chooses them. */
function smallerChoice(
  choice: ComputeChoice,
  requested: TileChoice,
  laneThreads: number,
): ComputeChoice | null {
  const { tile, lanes, threads } = choice;
  if (lanes > 1) {
    const fewer = divideThreads(lanes * threads, lanes - 1);
    return { ...choice, lanes: fewer.lanes, threads: Math.min(fewer.threads, laneThreads) };
  }
  if (requested !== 'auto' || tile / 2 < MIN_OUTPUT_PX) return null;
  return { ...choice, tile: tile / 2 };
}

/** @throws UnsupportedImageError for channels that the model cannot take, with those to choose from */
function conversionOf(
  { channels, channelNames: names }: Pick<ImageFacts, 'channels' | 'channelNames'>,
  { name, inputChannels, channels: named }: Pick<Card, 'name' | 'inputChannels' | 'channels'>,
): ChannelConversion {
  // Those of a model that names them are pictures in their own right, too; the reader has found them by their names.
  const conversion = named && channels !== inputChannels ? null : channelConversion(channels, inputChannels);
  // Named channels are pictures in their own right, not colours: none of them is converted.
  if (conversion !== null && (names === null || conversion === 'none')) return conversion;
  const isNamed = names?.some((known, i) => known !== `channel ${i}`);
  const listed = isNamed ? ` (${names!.map((known, i) => `${i} ${known}`).join(', ')})` : '';
  const order = named ? ` (${named.map((channel) => channel.name).join(', ')}, in this order)` : '';
  const example = Array.from({ length: inputChannels }, (_, i) => i).join(',');
  const remedy = names
    ? `: select them with "channels", from 0 to ${names.length - 1}, such as channels=${example}`
    : '';
  throw new UnsupportedImageError(
    `the image has ${channelText(channels)}${listed}, and model ${name} takes ${inputChannels}${order}${remedy}`,
  );
}

/** The requested tile, or the only one whose results can be relied on. */
function usableTile(
  requested: TileChoice,
  geometry: TileGeometry,
  exact: boolean,
): { readonly tile: TileChoice; readonly warnings: readonly string[] } {
  if (!geometry.tileable) {
    return {
      tile: { width: geometry.smallest, height: geometry.smallest },
      warnings: ['this model has one tile size, and its tiles do not agree exactly'],
    };
  }
  if (exact) return { tile: requested, warnings: [] };
  // Tile sizes do not agree bit for bit here; one size for all jobs at least makes results repeatable.
  const tile = chooseTile({ width: AUTO_OUTPUT_PX, height: AUTO_OUTPUT_PX }, 'auto', geometry);
  const instead = `tiles of ${tile.width}x${tile.height} px are used instead of the requested ones: results of this device depend on their size`;
  return { tile, warnings: requested === 'auto' ? [] : [instead] };
}

function sizeWarnings(image: number | undefined, model: number | null): string[] {
  if (image === undefined || model === null) return [];
  if (Math.max(image / model, model / image) <= SAME_SIZE) return [];
  return [
    `the image has ${formatMicrons(image)} µm per pixel, and the model was trained at ${formatMicrons(model)}: mpp "auto" would scale it`,
  ];
}
