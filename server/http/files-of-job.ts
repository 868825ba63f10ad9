import { codeOf } from '../contract/problems.js';
import type { JobRecord } from '../jobs/job.js';
import type { Jobs } from '../jobs/jobs.js';

/**
 * Works with the files of a job. A file that is missing because the job is being removed is reported as `not-found`.
 * @throws RequestError `not-found` where the job no longer exists; otherwise what `work` has thrown
 */
export async function withFilesOf<Result>(
  jobs: Pick<Jobs, 'get'>,
  { id }: Pick<JobRecord, 'id'>,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (codeOf(error) === 'internal') jobs.get(id);
    throw error;
  }
}
