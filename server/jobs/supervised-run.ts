import { DeviceKillerError } from '../../model/errors.js';
import { RequestError } from '../contract/errors.js';
import type { JobSpec } from '../contract/job-spec.js';
import type { Receipt } from '../contract/receipt.js';
import type { JobProgress } from '../contract/schemas/job.js';
import type { Stage } from '../contract/stages.js';
import type { JobListener, WorkerClient } from '../worker/client.js';
import { WorkerLostError } from '../worker/lost.js';
import type { Isolation, Suspicion } from './isolation.js';

/** Crashed workers after which a job fails, without a band finished in between. */
const MAX_STRIKES = 3;
/** Crashes that a job may have caused after which it stays isolated until it ends. */
const MAX_DOUBTS = 3;

/** What is held against a job; it outlives the server. */
export interface StrikeBook {
  /** Workers and servers that crashed while they ran this job alone, since it last finished a band. */
  readonly strikes: number;
  /** Whether a server crashed while it ran the job. */
  readonly isSuspect: boolean;
  /** Saves strikes; resolves when they would survive a power failure. */
  save(strikes: number): Promise<void>;
}

export interface RunOptions extends JobListener {
  /** Stops the job. */
  readonly signal: AbortSignal;
  readonly strikeBook: StrikeBook;
  /** Called when a worker has crashed while it ran the job. */
  readonly onWorkerLost?: () => void;
}

/**
 * One job, run in as many workers as it takes. When a worker crashes, the job goes on in the next one, from where
 * its journal ends; where it may be to blame, in isolation until it has got past where it was. Only a crash with
 * the job alone in the worker is a strike against it. A strike is saved before the job starts again, because the
 * next crash may be that of the server, or of the whole container.
 */
export class SupervisedRun {
  #strikes: number;
  /** Crashes that this job or another one caused. */
  #doubts = 0;
  #suspicion: Suspicion | null;
  #progress: JobProgress | null = null;
  /** Tiles that were done when the last worker crashed. */
  #tilesDoneBefore = 0;

  constructor(
    private readonly worker: Pick<WorkerClient, 'run'>,
    private readonly isolation: Isolation,
    private readonly spec: JobSpec,
    private readonly options: RunOptions,
  ) {
    const { strikes, isSuspect } = options.strikeBook;
    this.#strikes = strikes;
    this.#suspicion = isSuspect ? 'server-crash' : null;
  }

  /**
   * Runs the job to its end.
   * @throws RequestError `worker-killer`, `worker-hung`, DeviceKillerError for a job that crashed too many workers
   */
  async toEnd(): Promise<Receipt> {
    let last: WorkerLostError | null = null;
    while (this.#strikes < MAX_STRIKES) {
      try {
        return await this.#attempt();
      } catch (error) {
        if (!(error instanceof WorkerLostError) || this.options.signal.aborted) throw error;
        last = error;
        await this.#blame(error);
      }
    }
    throw tooManyCrashes(this.#strikes, last);
  }

  async #blame({ blame }: WorkerLostError): Promise<void> {
    const { onWorkerLost, strikeBook } = this.options;
    onWorkerLost?.();
    if (blame === 'certain') this.#strikes++;
    if (blame === 'possible') this.#doubts++;
    if (blame !== 'none') this.#suspicion = 'worker-crash';
    this.#tilesDoneBefore = Math.max(this.#tilesDoneBefore, this.#progress?.tilesDone ?? 0);
    if (this.#strikes !== strikeBook.strikes) await strikeBook.save(this.#strikes);
  }

  async #attempt(): Promise<Receipt> {
    const { signal } = this.options;
    if (this.#suspicion !== null)
      return this.isolation.run(this.#suspicion, signal, (clear) => this.#runOnce(clear));
    await this.isolation.pass(signal);
    return this.#runOnce(() => {});
  }

  /** @param clear ends the isolation of the job, if it is isolated */
  async #runOnce(clear: () => void): Promise<Receipt> {
    const { signal, strikeBook } = this.options;
    this.#progress = null;
    let isLost = false;
    try {
      // Saved in advance: if the job takes the server with it, the next server knows.
      if (this.#suspicion !== null) await strikeBook.save(this.#strikes + 1);
      return await this.worker.run(this.spec, this.#listener(clear), signal);
    } catch (error) {
      isLost = error instanceof WorkerLostError;
      throw error;
    } finally {
      // The job ended by itself, or was stopped: the strike in advance is taken back.
      if (!isLost && strikeBook.strikes !== this.#strikes) await strikeBook.save(this.#strikes);
    }
  }

  #listener(clear: () => void): JobListener {
    const { onStage, onProgress } = this.options;
    const clearSuspicion = () => {
      this.#suspicion = null;
      clear();
    };
    return {
      onStage: (stage: Stage, durationMs, endedAtMs) => {
        const { tilesDone = 0, tiles = 0 } = this.#progress ?? {};
        // A band is finished and more follow: the next attempt resumes after it.
        if (stage === 'encode' && tilesDone < tiles) this.#forgive(clearSuspicion);
        onStage(stage, durationMs, endedAtMs);
      },
      onProgress: (progress) => {
        this.#progress = progress;
        const isPast = progress.tilesDone > this.#tilesDoneBefore && this.#doubts < MAX_DOUBTS;
        if (isPast && this.#suspicion === 'worker-crash') clearSuspicion();
        onProgress(progress);
      },
    };
  }

  /** Drops all that is held against the job: it has finished a band. */
  #forgive(clearSuspicion: () => void): void {
    const { strikeBook } = this.options;
    if (this.#strikes === 0 && strikeBook.strikes === 0 && this.#suspicion === null) return;
    this.#strikes = 0;
    if (strikeBook.strikes !== 0) void strikeBook.save(0);
    if (this.#doubts < MAX_DOUBTS) clearSuspicion();
  }
}

function tooManyCrashes(strikes: number, last: WorkerLostError | null): Error {
  if (last?.loss === 'devices') return new DeviceKillerError('this job', last);
  const isHung = last?.loss === 'hang';
  const what = isHung ? 'the worker hung' : 'the worker crashed';
  const cause = last ? ` (${last.message})` : '';
  const message = `${what} ${strikes} times while it ran this job${cause}: it is not retried`;
  return new RequestError(isHung ? 'worker-hung' : 'worker-killer', message, { cause: last });
}
