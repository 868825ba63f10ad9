import type { Response } from 'express';
import type { JobView } from '../contract/schemas/job.js';
import { withoutNamesOf } from '../jobs/hidden-source.js';
import type { JobRecord } from '../jobs/job.js';
import type { Jobs } from '../jobs/jobs.js';
import { jobView } from '../jobs/view.js';

/** A job as it is now, as clients see it. */
export function viewOf(jobs: Jobs, record: JobRecord): JobView {
  return jobView(jobs.hidesNames ? withoutNamesOf(record) : record, jobs.live(record.id));
}

/** Responds 202 with a job and its address. */
export function sendAccepted(response: Response, job: JobView): void {
  response.status(202).location(job.links.self).json(job);
}
