import { EngineLostError } from '../../model/errors.js';

/** Whether a job caused the exit of the worker that it ran in. */
export type Blame = 'certain' | 'possible' | 'none';

/**
 * How a worker was lost: it crashed, or was terminated because it did not respond, or because its devices were lost.
 */
export type Loss = 'crash' | 'hang' | 'devices';

/** Why a worker was lost: a `Loss`, killed by something else, or never started. */
export const DEATH_CAUSES = ['crash', 'killed', 'hang', 'devices', 'start'] as const;
export type DeathCause = (typeof DEATH_CAUSES)[number];

/** The worker exited while a job ran in it. */
export class WorkerLostError extends EngineLostError {
  constructor(
    message: string,
    readonly blame: Blame,
    readonly loss: Loss,
  ) {
    super(message);
  }
}

/** The part of a job in the exit of its worker, of which these were the cause, or one of them was. */
export function blameOf(job: string, suspects: readonly string[]): Blame {
  if (!suspects.includes(job)) return 'none';
  return suspects.length === 1 ? 'certain' : 'possible';
}
