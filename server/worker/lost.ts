import { EngineLostError } from '../../model/errors.js';

/** Whether a job caused the exit of the worker that it ran in. */
export type Blame = 'certain' | 'possible' | 'none';

/** The worker exited while a job ran in it. */
export class WorkerLostError extends EngineLostError {
  /** @param hung whether it was terminated because it did not respond */
  constructor(
    message: string,
    readonly blame: Blame,
    readonly hung: boolean,
  ) {
    super(message);
  }
}
