import { EngineLostError } from '../../model/errors.js';

/** What a job has to do with the end of the worker that it was in. */
export type Blame = 'certain' | 'possible' | 'none';

/** The worker ended with a job in it. */
export class WorkerLostError extends EngineLostError {
  /** @param hung whether it was ended because it did not answer */
  constructor(
    message: string,
    readonly blame: Blame,
    readonly hung: boolean,
  ) {
    super(message);
  }
}
