import { valuesPerPixel } from '../../model/network/output-kind.js';
import { COLUMN_BLOCK_PX, type TilePlan } from '../../tiling/plan.js';
import type { AreaCount } from '../../tiling/sinks/areas.js';
import { BandJournal } from '../../tiling/sinks/journal.js';
import type { Preview } from '../../tiling/sinks/preview.js';
import type { ImageSource } from '../../tiling/source.js';
import type { ImageStack } from '../../tiling/stack.js';
import type { Tissue } from '../../tiling/tissue.js';
import type { Receipt } from '../contract/receipt.js';
import type { JobProgress } from '../contract/schemas/job.js';
import { fingerprintOf, restartWarning } from './fingerprint.js';
import { openMasks } from './open-masks.js';
import type { PreparedJob } from './prepare.js';
import { ProgressTracker } from './progress-tracker.js';
import type { MaskRoute } from './routing.js';
import { type Predict, segment } from './segment.js';
import type { SegmentJob } from './segment-job.js';
import type { StageTimes } from './stage-times.js';

/** What a job's masks are computed from, and what observes them. */
export interface Computation {
  readonly job: SegmentJob;
  readonly prepared: PreparedJob;
  /** By which the image is normalised; null where it is without. */
  readonly statistics: Receipt['statistics'];
  /** The image as it is segmented: in the model's pixel size, where that is requested. */
  readonly source: ImageSource;
  /** Its planes, likewise; null where it is segmented as one. */
  readonly stack: ImageStack | null;
  readonly routes: readonly MaskRoute[];
  readonly predict: Predict;
  /** How the planes of a stack are predicted, where that is not alike; null where it is. */
  readonly predictOf: ((plane: number) => Promise<Predict>) | null;
  /** Tiles outside of it are background; null where all are computed. */
  readonly tissue: Tissue | null;
  /** Receives the labels; null where they are not in the image's size, or there are none. */
  readonly areas: AreaCount | null;
  readonly preview: Preview;
  readonly stages: StageTimes;
}

export interface Computed {
  readonly progress: JobProgress;
  readonly warnings: readonly string[];
}

/**
 * Computes a job's masks, and writes the results that are streamed. On failure nothing of them is left, but for the
 * journal.
 */
export async function computeMasks(computation: Computation): Promise<Computed> {
  const {
    job,
    prepared,
    statistics,
    source,
    stack,
    routes,
    predict,
    predictOf,
    tissue,
    areas,
    preview,
    stages,
  } = computation;
  const { plan, output } = prepared;
  const { card } = prepared.model;
  const { journal, warnings } = await openJournal(job, { ...prepared, statistics });
  const { signal, onWait } = job;
  const sink = await openMasks(routes, { source, stack, card, signal, onWait }, areas).catch(
    async (error: unknown) => {
      await journal?.abort();
      throw error;
    },
  );
  const values = valuesPerPixel(output, card.classes.length);
  const channels = Math.min(values, card.classes.length);
  const tracker = new ProgressTracker(plan, job.onProgress);
  await segment({
    source,
    stack,
    plan,
    output,
    classes: card.classes.length,
    sink,
    predict,
    predictOf,
    choice: prepared.choice,
    signal,
    journal,
    skip: tissue && ((tile) => !tissue.touches(tile.write)),
    onStage: (stage, durationMs, endedMs) => stages.add(stage, durationMs, endedMs),
    onTile: (tile, end) => tracker.add(tile, end),
    onPixels: (rect, pixels, rowLength, plane) => {
      // A job of one tile is done when there is something to be seen.
      if (plan.count > 1) preview.put(rect, pixels, rowLength, channels, { stride: values, plane });
    },
  });
  tracker.publish();
  return { progress: tracker.progress, warnings };
}

/**
 * Opens the journal of a job that has one, more than one band, and results that can be repeated: a mask of one band is
 * there at once, or not at all, and bands that cannot be repeated would be those of two runs.
 */
async function openJournal(
  job: SegmentJob,
  prepared: PreparedJob & Pick<Computation, 'statistics'>,
): Promise<{ readonly journal: BandJournal | null; readonly warnings: readonly string[] }> {
  const hasJournal = job.journal !== null && prepared.repeatable && hasSeveralBands(prepared.plan);
  if (!hasJournal) return { journal: null, warnings: [] };
  const fingerprint = await fingerprintOf(job, prepared);
  const journal = await BandJournal.open(job.journal, fingerprint);
  return { journal, warnings: journal.discarded ? [restartWarning(journal.discarded, fingerprint)] : [] };
}

const hasSeveralBands = ({ image, planes, stride }: TilePlan): boolean =>
  planes > 1 || image.height > stride.height || image.width > COLUMN_BLOCK_PX;
