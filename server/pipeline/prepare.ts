import type { TestedModel } from '../../model/engine/engine.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import { type ChosenPlanes, isStack, planesOf } from '../../tiling/planes.js';
import { RequestError } from '../contract/errors.js';
import type { ImageHeader } from '../contract/image-header.js';
import type { WorkSpec } from '../contract/job-spec.js';
import type { ShapeChoice } from './batch-shapes.js';
import { type JobPlan, type PlanOptions, planJob } from './job-plan.js';
import { checkSymmetries, thresholdOf } from './model-options.js';
import { type ModelScale, modelScale } from './model-scale.js';
import { checkNormalisation } from './normalisation.js';

/** Everything about a job that its image's header and its model decide, before a pixel is read. */
export interface PreparedJob extends JobPlan {
  readonly model: TestedModel;
  /** What the network computes for each px. */
  readonly output: OutputKind;
  /** The probability from which a pixel has the second of two classes; null where the greater one decides. */
  readonly threshold: number | null;
  /** See `ShapeChoice`; undefined on a CPU, for plans, and where the model is not exact. */
  readonly sizes?: ShapeChoice['sizes'] | undefined;
  /** Whether the same tile has the same bits each time; where it has not, no result is used for another run. */
  readonly repeatable: boolean;
  /** The image in the model's pixel size, where that is requested; null where it is segmented as it is. */
  readonly scale: ModelScale | null;
  /** The planes of a stack; null for an image that is segmented as one plane. */
  readonly planes: ChosenPlanes | null;
}

const NOT_REPEATABLE =
  'this device does not compute the same bits each time: the image may have other last bits when it is segmented again, ' +
  'and no tile, band or result of this run is used for another';

/**
 * Prepares what is run, planned or estimated: the same for all three.
 * @param memory bytes that the process may take; see `PlanOptions` for what of them is not the job's
 * @throws RequestError, TileSizeError, UnsupportedImageError for what the image or the model is not fit for
 */
export function prepareJob(
  spec: Pick<
    WorkSpec,
    'choice' | 'tile' | 'scale' | 'symmetries' | 'threshold' | 'background' | 'statistics'
  >,
  image: ImageHeader,
  model: TestedModel,
  {
    output,
    ...memory
  }: Required<Pick<PlanOptions, 'output' | 'memory'>> &
    Pick<PlanOptions, 'reserved' | 'tileCache' | 'batch' | 'preferred' | 'gpuBytes'>,
): PreparedJob {
  const scale = spec.scale ? modelScale(image, model) : null;
  if (spec.symmetries) checkSymmetries(model);
  checkNormalisation(spec, model.card);
  const threshold = thresholdOf(spec, model, output);
  const planes = isStack(spec.choice) ? planesOf(spec.choice, image.facts.stack) : null;
  if (planes && spec.background === 'auto') {
    throw new RequestError(
      'bad-request',
      'tissue is not found in stacks: set skip-background (--skip-background) to a tissue mask, which holds for all planes',
    );
  }
  const count = planes?.planes.length ?? 1;
  const plan = planJob(scale ?? image, model, { tile: spec.tile, output, planes: count, ...memory });
  return { ...plan, model, output, threshold, repeatable: true, scale, planes };
}

/**
 * A job that is run: on a GPU, with batches of shapes that were tested.
 * @param prepare plans the job anew, where an exact model turns out not to be
 * @param test null on a CPU, whose kernels do not depend on shapes
 */
export async function withTestedShapes(
  prepare: (model: TestedModel) => PreparedJob,
  prepared: PreparedJob,
  test: (job: PreparedJob) => Promise<ShapeChoice | null>,
): Promise<PreparedJob> {
  const shapes = await test(prepared);
  if (shapes === null) return prepared;
  const { model, choice } = prepared;
  const { exact, largestDifference, sizes, batch = choice.batch, repeats = true } = shapes;
  const tested = { ...model, exact, largestDifference };
  if (model.exact && !exact) return withTestedShapes(prepare, prepare(tested), test);
  const warnings = repeats ? prepared.warnings : [...prepared.warnings, NOT_REPEATABLE];
  const own = { ...prepared, warnings, repeatable: repeats };
  return { ...own, model: tested, choice: { ...choice, batch }, sizes };
}
