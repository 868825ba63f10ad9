import { BandJournal } from '../../tiling/sinks/journal.js';
import type { ImageSource } from '../../tiling/source.js';
import type { ImageStack } from '../../tiling/stack.js';
import type { Receipt } from '../contract/receipt.js';
import { fingerprintOf, statisticsOf } from './fingerprint.js';
import { type ImageNormalisation, type NormalisationRequest, normalisationFor } from './normalisation.js';
import type { PreparedJob } from './prepare.js';
import { nothingDone } from './progress-tracker.js';
import type { Predict } from './segment.js';
import type { SegmentJob } from './segment-job.js';
import type { StageTimes } from './stage-times.js';

/** Planes that have tiles in flight, at most, but for images of a few px. */
const LATEST_PLANES = 8;

/** The job that an image is normalised for. */
export interface NormalisedJob {
  readonly job: SegmentJob;
  readonly prepared: PreparedJob;
  readonly stages: StageTimes;
}

/** How the image is normalised for its model: by its statistics, where the model takes these, which are measured first. */
export async function measureNormalisation(
  normalised: NormalisedJob,
  image: ImageSource,
): Promise<ImageNormalisation | null> {
  const { job, prepared } = normalised;
  return measured(normalised, image, {
    known: await earlierStatistics(job, prepared),
    onProgress: (pixelsDone, pixels) =>
      job.onProgress?.({ ...nothingDone(prepared.plan), statistics: { pixels, pixelsDone } }),
  });
}

/** The statistics of the run that a journal is of, where all else that its bands depend on is as it was: so is the image. */
async function earlierStatistics(job: SegmentJob, prepared: PreparedJob): Promise<Receipt['statistics']> {
  const key = job.journal === null ? null : await BandJournal.keyOf(job.journal);
  const statistics = key === null ? null : statisticsOf(key);
  if (statistics === null) return null;
  return (await fingerprintOf(job, { ...prepared, statistics })) === key ? statistics : null;
}

/**
 * The functions that predict the planes of a stack, where each has statistics of its own, as it has alone: those are
 * measured before its first tile, while tiles of the plane before are computed.
 * @param first the normalisation of the first plane
 */
export function predictPlanes(
  normalised: NormalisedJob,
  stack: ImageStack,
  first: ImageNormalisation,
  predict: (normalisation: ImageNormalisation | null) => Predict,
): (plane: number) => Promise<Predict> {
  const latest = new Map([[0, Promise.resolve(predict(first))]]);
  return (plane) => {
    const known = latest.get(plane) ?? measured(normalised, stack.source(plane)).then(predict);
    latest.set(plane, known);
    for (const oldest of latest.keys()) {
      if (latest.size <= LATEST_PLANES) break;
      latest.delete(oldest);
    }
    return known;
  };
}

async function measured(
  { job, prepared, stages }: NormalisedJob,
  image: ImageSource,
  more: Pick<NormalisationRequest, 'known' | 'onProgress'> = {},
): Promise<ImageNormalisation | null> {
  const started = performance.now();
  const { choice, statistics, signal } = job;
  const { model, conversion } = prepared;
  const request = { card: model.card, conversion, level: choice.level, statistics, signal, ...more };
  const normalisation = await normalisationFor(image, request);
  if (normalisation?.statistics) stages.add('statistics', performance.now() - started);
  return normalisation;
}
