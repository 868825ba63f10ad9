import { pixelsOf } from '../contract/receipt.js';
import { JOB_STATES, type JobState } from '../contract/schemas/job.js';
import type { Demand, Occupancy } from './admission.js';
import { hasEnded, type JobRecord } from './job.js';
import type { JobLife } from './job-life.js';
import { noJob, type UnreadableJob, unreadable } from './record.js';

/** All jobs by their ids, in the order of submission: those that live, those that ended, and the unreadable. */
export class JobCollection {
  readonly #lives = new Map<string, JobLife>();
  /** Jobs whose records cannot be read; their folders stay untouched until clients remove them. */
  readonly #unreadable: Map<string, UnreadableJob>;

  constructor(unreadable: readonly UnreadableJob[]) {
    this.#unreadable = new Map(unreadable.map((job) => [job.id, job]));
  }

  add(life: JobLife): void {
    this.#lives.set(life.job.record.id, life);
  }

  /** @throws RequestError `not-found`, `unreadable-record` */
  get(id: string): JobLife {
    const broken = this.#unreadable.get(id);
    if (broken) throw unreadable(`job ${id} is on the disk, but ${broken.reason}`);
    const life = this.#lives.get(id);
    if (!life) throw noJob(id);
    return life;
  }

  /**
   * Returns the job that was removed; null for an unreadable one.
   * @throws RequestError `not-found`
   */
  delete(id: string): JobLife | null {
    if (this.#unreadable.delete(id)) return null;
    const life = this.get(id);
    this.#lives.delete(id);
    return life;
  }

  all(): JobLife[] {
    return [...this.#lives.values()];
  }

  /** The jobs that clients may see, the newest first. */
  list(state?: JobState): JobRecord[] {
    return this.all()
      .filter(({ job }) => !job.isAwaited && (state === undefined || job.record.state === state))
      .map(({ job }) => job.record)
      .reverse();
  }

  /** The job that its owner submitted with this idempotency key; null when there is none. */
  findByKey(key: string, owner: string): JobRecord | null {
    const has = ({ job: { record } }: JobLife) => record.idempotency?.key === key && record.owner === owner;
    return this.all().find(has)?.job.record ?? null;
  }

  /** The latest job that succeeded and whose results have this key; null when there is none. */
  findResults(key: string): JobRecord | null {
    const has = ({ job: { record } }: JobLife) => record.cache?.key === key && record.cache.files !== null;
    return this.all().findLast(has)?.job.record ?? null;
  }

  unreadable(): UnreadableJob[] {
    return [...this.#unreadable.values()];
  }

  isUnreadable(id: string): boolean {
    return this.#unreadable.has(id);
  }

  /** Jobs by state; every state has a count. */
  counts(): ReadonlyMap<JobState | 'unreadable', number> {
    const counts = new Map<JobState | 'unreadable', number>(JOB_STATES.map((state) => [state, 0]));
    for (const { job } of this.#lives.values()) {
      const { state } = job.record;
      counts.set(state, counts.get(state)! + 1);
    }
    return counts.set('unreadable', this.#unreadable.size);
  }

  /** The jobs that have not ended, of those that `counts`. */
  occupancy(counts: (job: Demand) => boolean): Occupancy {
    let [active, paused, pixels] = [0, 0, 0];
    for (const { job } of this.#lives.values()) {
      const { record } = job;
      if (hasEnded(record) || !counts(record)) continue;
      if (record.state === 'paused') paused++;
      else active++;
      pixels += pixelsOf(record.image);
    }
    return { active, paused, pixels };
  }
}
