import { allows, maySee, type Principal } from '../access/principal.js';
import type { JobState } from '../contract/schemas/job.js';
import type { EventLog } from './events.js';
import type { JobRecord } from './job.js';
import type { Jobs } from './jobs.js';
import { noJob, type UnreadableJob } from './record.js';

/**
 * The jobs that a caller may see and change: its own, or all for an admin. For any other caller, a job does not exist.
 * Routes reach the jobs that requests name through here alone. Whose a job with an unreadable record is, nobody knows:
 * only admins see it.
 */
export class VisibleJobs {
  constructor(
    private readonly jobs: Jobs,
    private readonly caller: Principal,
  ) {}

  /** @throws RequestError `not-found`, `unreadable-record`, as all methods that take an id */
  get(id: string): JobRecord {
    this.#check(id);
    return this.jobs.get(id);
  }

  /** The newest first. */
  list(state?: JobState): JobRecord[] {
    return this.jobs.list(state).filter(({ owner }) => maySee(this.caller, owner));
  }

  unreadable(): UnreadableJob[] {
    return allows(this.caller, 'admin') ? this.jobs.unreadable() : [];
  }

  isUnreadable(id: string): boolean {
    this.#check(id);
    return this.jobs.isUnreadable(id);
  }

  events(id: string): EventLog {
    this.#check(id);
    return this.jobs.events(id);
  }

  /** See `Jobs.resume`. */
  resume(id: string): Promise<JobRecord> {
    this.#check(id);
    return this.jobs.resume(id);
  }

  /** See `Jobs.cancel`. */
  cancel(id: string): Promise<JobRecord> {
    this.#check(id);
    return this.jobs.cancel(id);
  }

  /** See `Jobs.remove`. */
  remove(id: string): Promise<void> {
    this.#check(id);
    return this.jobs.remove(id);
  }

  #check(id: string): void {
    const isUnreadable = this.jobs.isUnreadable(id);
    const isVisible = isUnreadable
      ? allows(this.caller, 'admin')
      : maySee(this.caller, this.jobs.get(id).owner);
    if (!isVisible) throw noJob(id);
  }
}
