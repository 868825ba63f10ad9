import { rm } from 'node:fs/promises';
import type { TestedModel } from '../../model/engine.js';
import { valuesPerPixel } from '../../model/output-kind.js';
import { COLUMN_BLOCK_PX } from '../../tiling/plan.js';
import { resampleLinear, resampleNearest } from '../../tiling/resample.js';
import { AreaCount } from '../../tiling/sinks/areas.js';
import { BandJournal } from '../../tiling/sinks/journal.js';
import type { Preview } from '../../tiling/sinks/preview.js';
import type { ImageFacts, ImageSource } from '../../tiling/source.js';
import { openImage } from '../../tiling/sources/open.js';
import { findTissue, type Tissue, tissueFromMask } from '../../tiling/tissue.js';
import type { JobProgress, SegmentJob } from '../contract/job-spec.js';
import { type MaskKind, outputKindOf } from '../contract/outputs.js';
import { imageFacts, modelFacts, planFacts, type Receipt, rangeFacts } from '../contract/receipt.js';
import type { Stage } from '../contract/stages.js';
import { derive } from './derive.js';
import { fingerprintOf, startedAnew } from './fingerprint.js';
import { intensityWarnings } from './intensity-warnings.js';
import { atModelScale, checkSymmetries, planJob, thresholdOf } from './job-plan.js';
import { openMasks } from './open-masks.js';
import { routeResults } from './routing.js';
import { type Predict, segment } from './segment.js';

/** What runs a job's tiles, and may watch them. */
export interface JobTools {
  readonly predict: Predict;
  /** Shown what is done of the mask; made when the job's size is known. */
  readonly preview: (image: ImageSource) => Preview;
  readonly maxPixels: number;
  readonly maxUnpackedBytes?: number | undefined;
  /** Bytes that a job may take. */
  readonly memory: number;
}

/** Everything of a receipt that comes of the image and the job. */
export type JobReceipt = Omit<Receipt, 'device' | 'versions'>;

/**
 * Does one job with an image and a model that are open: its mask, and all that is made of it. On failure
 * nothing of the results is left, but for the journal.
 */
export async function runJob(
  job: SegmentJob,
  image: ImageSource,
  model: TestedModel,
  { predict, preview: previewOf, maxPixels, maxUnpackedBytes, memory }: JobTools,
): Promise<JobReceipt> {
  const started = performance.now();
  const { signal } = job;
  const output = outputKindOf(job.results);
  const { card } = model;
  const { source, level } = job.scale
    ? atModelScale(image, model)
    : { source: image, level: job.choice.level ?? 0 };
  const planned = planJob(source, model, {
    tile: job.tile,
    memory,
    output,
  });
  if (job.symmetries) checkSymmetries(model);
  const { plan } = planned;
  const tissue = await tissueOf(job, image, source, { maxPixels, maxUnpackedBytes });
  const dim = await intensityWarnings(image, signal);

  const stagesMs: Partial<Record<Stage, number>> = {};
  const onStage = (stage: Stage, ms: number) => {
    stagesMs[stage] = (stagesMs[stage] ?? 0) + ms;
    job.onStage?.(stage, ms);
  };
  const masks = routeResults(job, job.scale ? null : source.size.width);

  // A mask of one band is there at once, or not at all.
  const several = plan.image.height > plan.stride.height || plan.image.width > COLUMN_BLOCK_PX;
  const fingerprint = job.journal !== null && several ? await fingerprintOf(job, model, plan) : '';
  const journal = fingerprint && job.journal ? await BandJournal.open(job.journal, fingerprint) : null;
  const anew = journal?.earlier ? [startedAnew(journal.earlier, fingerprint)] : [];
  const areas = output === 'probabilities' ? null : new AreaCount();
  const sink = await openMasks(masks, { source, card }, job.scale ? null : areas).catch(
    async (error: unknown) => {
      if (journal) await journal.abort();
      throw error;
    },
  );
  const preview = previewOf(source);
  const stride = valuesPerPixel(output, card.classes.length);
  const channels = Math.min(stride, card.classes.length);
  const progress = new ProgressCount(job, plan.count, plan.image.width * plan.image.height);
  await segment({
    ...{ source, plan, output, predict, signal, onStage },
    sink,
    classes: card.classes.length,
    journal,
    skip: tissue && ((tile) => !tissue.touches(tile.write)),
    onPixels: (rect, values, rowLength) => preview.put(rect, values, rowLength, channels, stride),
    onTile: ({ write, read }, how) => progress.add(write.width * write.height, read.width * read.height, how),
  });
  progress.tell();
  const deriving = performance.now();
  const toDerive = masks.filter(({ derived }) => derived.length > 0);
  for (const { kind, derived, mask, isTemporary } of toDerive) {
    const found = await openImage(mask.path, { scratchDir: job.scratchDir, maxPixels, values: 'stored' });
    try {
      const mask = job.scale ? atSizeOf(image, found, kind) : found;
      const observer = job.scale && kind === 'labels' ? areas : null;
      await derive(derived, { mask, source: image, card, signal }, observer);
    } finally {
      await found.close();
    }
    if (isTemporary) await rm(mask.path);
  }
  if (toDerive.length > 0) onStage('encode', performance.now() - deriving);
  for (const stage of Object.keys(stagesMs) as Stage[]) stagesMs[stage] = round(stagesMs[stage]!);
  return {
    ...modelFacts(model),
    ...rangeFacts(image.facts),
    image: imageFacts(image),
    outputs: job.results.map(({ output: kind, format }) => ({ kind, format })),
    plan: planFacts(plan),
    scale: job.scale
      ? { level, width: source.size.width, height: source.size.height, mpp: source.facts.mpp }
      : null,
    background: tissue && {
      tilesSkipped: progress.count.tilesSkipped,
      tissueShare: Number(tissue.share.toFixed(4)),
      threshold: tissue.threshold,
    },
    areas: areas && areasOf(areas.pixels(card.classes.length), card.classes, image.facts),
    channels: planned.conversion,
    symmetries: job.symmetries,
    threshold: thresholdOf(job, model, output),
    warnings: [...planned.warnings, ...dim, ...anew],
    stagesMs,
    durationMs: round(performance.now() - started),
  };
}

function areasOf(
  pixels: readonly number[],
  classes: readonly { name: string }[],
  { mpp }: Pick<ImageFacts, 'mpp'>,
): Receipt['areas'] {
  return classes.map(({ name }, i) => ({
    name,
    pixels: pixels[i]!,
    um2: mpp && Number((pixels[i]! * mpp.x * mpp.y).toPrecision(9)),
  }));
}

/** A mask that was made at the model's scale, in the image's size. */
function atSizeOf(image: ImageSource, mask: ImageSource, kind: MaskKind): ImageSource {
  return kind === 'labels' ? resampleNearest(mask, image.size) : resampleLinear(mask, mask, image.size);
}

async function tissueOf(
  { background, scratchDir, signal, watch }: SegmentJob,
  image: ImageSource,
  scaled: ImageSource,
  limits: Pick<JobTools, 'maxPixels' | 'maxUnpackedBytes'>,
): Promise<Tissue | null> {
  if (background === null) return null;
  if (background === 'auto') {
    const tissue = await findTissue(image, signal);
    const ratio = { x: image.size.width / scaled.size.width, y: image.size.height / scaled.size.height };
    const touches: Tissue['touches'] = ({ x, y, width, height }) =>
      tissue.touches({ x: x * ratio.x, y: y * ratio.y, width: width * ratio.x, height: height * ratio.y });
    return { ...tissue, touches };
  }
  const opening = openImage(background.mask, { ...limits, scratchDir, values: 'stored', signal });
  const mask = await (watch?.(opening) ?? opening);
  try {
    return await tissueFromMask(mask, scaled.size, signal);
  } finally {
    await mask.close();
  }
}

/** How far a job is: counts, and tells. */
class ProgressCount {
  readonly count: { -readonly [Name in keyof JobProgress]: number };

  constructor(
    private readonly job: SegmentJob,
    tiles: number,
    pixels: number,
  ) {
    this.count = {
      ...{ tiles, tilesDone: 0, tilesReplayed: 0, tilesSkipped: 0 },
      ...{ pixels, pixelsDone: 0, pixelsComputed: 0, haloAndPixels: 0 },
    };
    this.tell();
  }

  add(pixels: number, read: number, how: 'computed' | 'skipped' | 'replayed'): void {
    const { count } = this;
    count.tilesDone++;
    count.pixelsDone += pixels;
    if (how === 'replayed') count.tilesReplayed++;
    else if (how === 'skipped') count.tilesSkipped++;
    else {
      count.pixelsComputed += pixels;
      count.haloAndPixels += read;
    }
    // What comes from the journal comes all at once: the first tile after it tells of all of them.
    if (how !== 'replayed') this.tell();
  }

  tell(): void {
    this.job.onProgress?.({ ...this.count });
  }
}

const round = (ms: number): number => Math.round(ms * 10) / 10;
