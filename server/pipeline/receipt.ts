import type { ComputeChoice } from '../../model/compute-choice.js';
import type { TestedModel } from '../../model/engine/engine.js';
import { isTypeRange, readsIntensities } from '../../model/network/normalisation.js';
import { NORMALISATION } from '../../model/network/pixels.js';
import { type Card, normalisationOf } from '../../model/shelf/card.js';
import { haloShare, type TilePlan } from '../../tiling/plan.js';
import { type ChosenPlanes, rangesOf } from '../../tiling/planes.js';
import type { ImageFacts } from '../../tiling/source.js';
import type { ImageHeader } from '../contract/image-header.js';
import { tilesComputed } from '../contract/job-spec.js';
import type { Receipt } from '../contract/receipt.js';
import type { JobProgress } from '../contract/schemas/job.js';
import { usedRange } from './intensity-warnings.js';

/** A plan as receipts state it. */
export function planFacts(plan: TilePlan): Receipt['plan'] {
  return {
    tile: `${plan.tile.width}x${plan.tile.height}`,
    halo: plan.halo,
    stride: `${plan.stride.width}x${plan.stride.height}`,
    tiles: plan.count,
    haloShare: Number(haloShare(plan).toFixed(4)),
  };
}

/** How the tiles of a job ended. */
export function tileFacts(progress: JobProgress): Receipt['tiles'] {
  return {
    computed: tilesComputed(progress),
    constant: progress.tilesConstant,
    identical: progress.tilesIdentical,
    skipped: progress.tilesSkipped,
    replayed: progress.tilesReplayed,
  };
}

/** A model as receipts state it, by the digest of its weights. */
export function modelFacts({ card, exact, largestDifference }: TestedModel) {
  return {
    model: { name: card.name, version: card.version, sha256: card.weights.sha256 },
    classes: card.classes,
    exact,
    largestDifference,
  };
}

/** How the values of an image became the network's. */
export function rangeFacts(
  facts: Pick<ImageFacts, 'range' | 'dtype' | 'storedType'>,
  card: Pick<Card, 'normalisation'>,
): Pick<Receipt, 'normalisation' | 'range'> {
  const steps = normalisationOf(card);
  const range = readsIntensities(steps) ? usedRange(facts) : null;
  if (isTypeRange(steps)) return { normalisation: facts.range ? 'range' : NORMALISATION, range };
  return { normalisation: steps.map(({ step }) => step).join(', ') || 'none', range };
}

/**
 * An image as receipts state it.
 * @param planes those that are segmented of a stack; null for an image that is none
 */
export function imageFacts(
  { size, facts }: Pick<ImageHeader, 'size' | 'facts'>,
  planes: ChosenPlanes | null,
): Receipt['image'] {
  const { channels, dtype, mpp } = facts;
  const stack = planes && { ...rangesOf(planes), sizeZ: planes.sizeZ, sizeT: planes.sizeT };
  return { ...size, channels, dtype, mpp, stack };
}

/** The area of each class, by the pixels that it has. */
export function areaFacts(
  pixels: readonly number[],
  classes: readonly { readonly name: string }[],
  { mpp }: Pick<ImageFacts, 'mpp'>,
): NonNullable<Receipt['areas']> {
  return classes.map(({ name }, i) => ({
    name,
    pixels: pixels[i]!,
    um2: mpp && Number((pixels[i]! * mpp.x * mpp.y).toPrecision(9)),
  }));
}

/**
 * How a job's tiles are computed, for its receipt.
 * @param fallback why the requested `auto` is no GPU; null where it is one, or was not requested
 */
export const computeFacts = (
  { batch, lanes, threads, isMeasured }: ComputeChoice,
  fallback: string | null,
): Receipt['compute'] => {
  return { lanes, threads, batchPx: batch, measured: isMeasured, fallback };
};
