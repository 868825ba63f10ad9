import { readsIntensities } from '../../model/network/normalisation.js';
import { normalisationOf } from '../../model/shelf/card.js';
import { requireFinite } from '../../tiling/intensities.js';
import { AreaCount } from '../../tiling/sinks/areas.js';
import type { Preview } from '../../tiling/sinks/preview.js';
import type { ImageSource } from '../../tiling/source.js';
import { type ImageStack, stackOf } from '../../tiling/stack.js';
import type { Receipt } from '../contract/receipt.js';
import { roundMs } from '../contract/stages.js';
import { tissueFor } from './background.js';
import { computeMasks } from './compute.js';
import { deriveResults } from './derive.js';
import { intensityWarnings } from './intensity-warnings.js';
import { measureNormalisation, predictPlanes } from './measure-normalisation.js';
import { atModelScale } from './model-scale.js';
import type { ImageNormalisation } from './normalisation.js';
import type { PreparedJob } from './prepare.js';
import { areaFacts, imageFacts, modelFacts, planFacts, rangeFacts, tileFacts } from './receipt.js';
import { routeResults } from './routing.js';
import type { Predict } from './segment.js';
import type { SegmentJob } from './segment-job.js';
import { StageTimes } from './stage-times.js';

/** What computes a job's tiles, and what observes and bounds it. */
export interface JobTools {
  readonly predict: (normalisation: ImageNormalisation | null) => Predict;
  /** Makes what shows the mask while it is computed, for the image as it is segmented. */
  readonly preview: (image: ImageSource) => Preview;
  readonly maxPixels: number;
  readonly maxUnpackedBytes?: number | undefined;
}

/** Everything of a receipt that comes from the image and the job. */
export type JobReceipt = Omit<Receipt, 'device' | 'versions' | 'compute'>;

/**
 * Does one job with an open image and a model: computes its masks, and derives every other result from them. On
 * failure nothing of the results is left, but for the journal.
 */
export async function runJob(
  job: SegmentJob,
  opened: ImageSource,
  prepared: PreparedJob,
  tools: JobTools,
): Promise<JobReceipt> {
  // values that are made intensities are checked then
  const checked = (image: ImageSource) =>
    readsIntensities(normalisationOf(prepared.model.card)) ? image : requireFinite(image);
  const stack = prepared.planes && stackOf(opened, prepared.planes);
  const planes = stack && { ...stack, source: (plane: number) => checked(stack.source(plane)) };
  try {
    return await runPlanes(job, checked(opened), planes, prepared, tools);
  } finally {
    await stack?.close();
  }
}

async function runPlanes(
  job: SegmentJob,
  image: ImageSource,
  stack: ImageStack | null,
  prepared: PreparedJob,
  { predict, preview, maxPixels, maxUnpackedBytes }: JobTools,
): Promise<JobReceipt> {
  const started = performance.now();
  const { model, plan, scale, output } = prepared;
  const source = scale ? atModelScale(image, scale) : image;
  const sources =
    stack && scale
      ? { ...stack, source: (plane: number) => atModelScale(stack.source(plane), scale) }
      : stack;
  const tissue = await tissueFor(job, image, source.size, { maxPixels, maxUnpackedBytes });
  const stages = new StageTimes(job.onStage);
  const normalisation = await measureNormalisation({ job, prepared, stages }, image);
  const isMeasured = normalisation?.statistics != null && normalisation.statistics.level !== null;
  // while the first tiles are computed
  const sampling = normalisation === null ? intensityWarnings(image, job.signal) : Promise.resolve([]);
  sampling.catch(() => undefined); // awaited below
  const routes = routeResults(job, scale ? null : image.size.width);
  const areas = output === 'probabilities' ? null : new AreaCount();

  const computed = await computeMasks({
    job,
    prepared,
    source,
    stack: sources,
    routes,
    predict: predict(normalisation),
    predictOf:
      stack && isMeasured ? predictPlanes({ job, prepared, stages }, stack, normalisation, predict) : null,
    statistics: normalisation?.statistics ?? null,
    tissue,
    areas: scale ? null : areas,
    preview: preview(source),
    stages,
  }).finally(() => sampling.catch(() => undefined)); // it reads the image, which is closed after a failure
  const intensities = await sampling;
  await deriveResults({
    job,
    prepared,
    image,
    stack,
    routes,
    areas: scale ? areas : null,
    maxPixels,
    stages,
  });

  return {
    ...modelFacts(model),
    ...rangeFacts(image.facts, model.card),
    statistics: normalisation?.statistics
      ? { ...normalisation.statistics, ofEachPlane: isMeasured && (stack?.planes.length ?? 0) > 1 }
      : null,
    image: imageFacts(image, prepared.planes),
    outputs: job.results.map(({ output: kind, format }) => ({ kind, format })),
    plan: planFacts(plan),
    tiles: tileFacts(computed.progress),
    scale: scale && { level: scale.level, ...scale.size, mpp: scale.facts.mpp },
    background: tissue && {
      tilesSkipped: computed.progress.tilesSkipped,
      tissueShare: Number(tissue.share.toFixed(4)),
      threshold: tissue.threshold,
    },
    areas: areas && areaFacts(areas.pixels(model.card.classes.length), model.card.classes, image.facts),
    channels: prepared.conversion,
    channelIndexes: image.facts.channelIndexes ?? null,
    symmetries: job.symmetries,
    threshold: prepared.threshold,
    repeatable: prepared.repeatable,
    warnings: [
      ...prepared.warnings,
      ...(normalisation?.warnings ?? []),
      ...intensities,
      ...computed.warnings,
    ],
    cached: null,
    stagesMs: stages.totals,
    durationMs: roundMs(performance.now() - started),
  };
}
