import type { Priority } from '../../model/scheduler/priority.js';
import { RequestError } from '../contract/errors.js';

/** A job, or a request that is about to submit one, as it counts against the limits. */
export interface Demand {
  readonly owner: string;
  readonly priority: Priority;
}

/** A place that a request holds until it has submitted its job. */
export interface AdmittedPlace {
  /**
   * Changes the priority of its job, which may only be known once its image is read.
   * @throws RequestError `busy` if no place of that priority is free
   */
  changeTo(priority: Priority): void;
}

/** How many jobs have not ended: those that wait or run, and those that are paused. */
export interface Occupancy {
  readonly active: number;
  readonly paused: number;
  /** Pixels of all their images. */
  readonly pixels: number;
}

export interface AdmissionLimits {
  /**
   * Maximum number of jobs that have not ended, by priority: each counts together with all less urgent ones, so that
   * jobs that nobody waits for never take the last places. The number for `interactive` is that of all places.
   */
  readonly places: Readonly<Record<Priority, number>>;
  /** Jobs of one owner that have not ended; null for no limit but the places. */
  readonly ownerJobs: number | null;
  /** Pixels of the images of one owner's jobs that have not ended; null for no limit. */
  readonly ownerPixels: number | null;
}

/** The priorities whose jobs count against the places of a priority: it, and all less urgent ones. */
const COUNTED: Readonly<Record<Priority, readonly Priority[]>> = {
  interactive: ['interactive', 'normal', 'bulk'],
  normal: ['normal', 'bulk'],
  bulk: ['bulk'],
};

/** Bounds the jobs that have not ended, together with the requests that are about to submit one. */
export class Admission {
  readonly #pending = new Set<Demand>();
  /** Jobs that are being submitted. */
  readonly #submitted = new Set<{ readonly owner: string; readonly pixels: number }>();

  /** @param occupancy counts the jobs that have not ended and that `counts` */
  constructor(
    private readonly limits: AdmissionLimits,
    private readonly occupancy: (counts: (job: Demand) => boolean) => Occupancy,
  ) {}

  /**
   * Holds a place while `work` submits a job or fails.
   *
   * @param isReceived whether its image has been uploaded already: a finished upload is not turned away.
   *   Uploads begin only while there are places, and there are as many at a time as places in all, so that jobs never
   *   exceed the places of their priority by more than that.
   * @throws RequestError `busy` when no place is free; `too-many-jobs` if the owner has too many
   */
  async withPlace<Result>(
    demand: Demand,
    work: (place: AdmittedPlace) => Promise<Result>,
    isReceived = false,
  ): Promise<Result> {
    this.check(demand, isReceived);
    let held = { ...demand };
    this.#pending.add(held);
    const changeTo = (priority: Priority) => {
      if (priority === held.priority) return;
      this.#pending.delete(held);
      this.#checkPriority(priority, 0);
      held = { ...held, priority };
      this.#pending.add(held);
    };
    try {
      return await work({ changeTo });
    } finally {
      this.#pending.delete(held);
    }
  }

  /**
   * Throws if a job would find no place; for routes to call before they receive an image.
   * @throws RequestError `busy`, `too-many-jobs`
   */
  check({ owner, priority }: Demand, isReceived = false): void {
    const { places, ownerJobs } = this.limits;
    if (ownerJobs !== null) {
      const taken = this.#taken((job) => job.owner === owner, ownerJobs);
      if (taken >= (isReceived ? 2 : 1) * ownerJobs) {
        throw new RequestError(
          'too-many-jobs',
          `${taken} of your jobs are pending or running; the limit is ${ownerJobs}`,
        );
      }
    }
    this.#checkPriority(priority, isReceived ? places.interactive : 0);
  }

  /** @param more additional places, beyond the limits */
  #checkPriority(priority: Priority, more: number): void {
    const { places } = this.limits;
    for (const [limiting, counted] of Object.entries(COUNTED) as [Priority, readonly Priority[]][]) {
      if (!counted.includes(priority)) continue;
      const taken = this.#taken((job) => counted.includes(job.priority), places[limiting]);
      if (taken < places[limiting] + more) continue;
      const kind = limiting === 'interactive' ? '' : ` of priority ${counted.join(' and ')}`;
      throw new RequestError(
        'busy',
        `${taken} jobs${kind} are pending or running: the server accepts no more`,
      );
    }
  }

  /**
   * Holds the pixels of a job's image while `submit` runs.
   * @throws RequestError `too-many-pixels` if the owner's jobs have too many
   */
  async withPixels<Result>(owner: string, pixels: number, submit: () => Promise<Result>): Promise<Result> {
    const { ownerPixels } = this.limits;
    const inJobs = this.occupancy((job) => job.owner === owner).pixels;
    const submitted = [...this.#submitted].filter((job) => job.owner === owner);
    const before = submitted.reduce((sum, job) => sum + job.pixels, inJobs);
    if (ownerPixels !== null && before + pixels > ownerPixels) {
      throw new RequestError(
        'too-many-pixels',
        `your pending and running jobs have ${before} px; with ${pixels} px more they would exceed ${ownerPixels} px`,
      );
    }
    const job = { owner, pixels };
    this.#submitted.add(job);
    try {
      return await submit();
    } finally {
      this.#submitted.delete(job);
    }
  }

  /**
   * The number of places that are taken. Paused jobs count only beyond the limit: a source that is offline for a day
   * does not block everyone else, and the number of paused jobs is still bounded.
   */
  #taken(counts: (job: Demand) => boolean, limit: number): number {
    const { active, paused } = this.occupancy(counts);
    const pending = [...this.#pending].filter(counts).length;
    return pending + active + Math.max(0, paused - limit);
  }
}
