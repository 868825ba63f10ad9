import type { EngineModel } from '../../model/engine/engine.js';
import type { OutputKind } from '../../model/network/output-kind.js';
import { ownThreshold } from '../../model/shelf/card.js';
import { haloText } from '../../tiling/plan.js';
import { RequestError } from '../contract/errors.js';
import type { WorkSpec } from '../contract/job-spec.js';

/**
 * Checks that a model can be averaged over symmetries: a rotated or mirrored tile covers what its pixels depend on only
 * if its halo is the same on all sides.
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
 * The probability from which a pixel has the second of two classes: the requested one, or that of the model's
 * postprocessing; null where the greater one decides.
 * @throws RequestError where the model has not two classes, the card states no threshold, or no labels are computed
 */
export function thresholdOf(
  { threshold = null }: Pick<WorkSpec, 'threshold'>,
  { card }: Pick<EngineModel, 'card'>,
  output: OutputKind,
): number | null {
  if (threshold === null) return output === 'probabilities' ? null : ownThreshold(card);
  const refuse = (reason: string) => new RequestError('bad-request', `parameter "threshold": ${reason}`);
  if (card.classes.length !== 2) {
    throw refuse(
      `only models of two classes have one, and ${card.name} has ${card.classes.length}: leave it out`,
    );
  }
  if (output === 'probabilities') throw refuse('it applies to labels only: leave it out, or request labels');
  if (threshold !== 'card') return threshold;
  if (card.threshold === undefined)
    throw refuse(`the card of ${card.name} has none: give a number, such as 0.3`);
  return card.threshold;
}
