import { RequestError } from '../contract/errors.js';
import type { JobRecord } from '../jobs/job.js';

/** Where a job stands in a list: the newest first, those of one millisecond by their ids. */
type Position = Pick<JobRecord, 'createdAt' | 'id'>;

const newestFirst = (a: Position, b: Position): number =>
  b.createdAt.localeCompare(a.createdAt) || b.id.localeCompare(a.id);

/**
 * A page of jobs, the newest first. As jobs are ordered, and a cursor is a position and no job, pages neither repeat
 * nor skip any, whatever is added or removed in between.
 *
 * @param after the `next` of the previous page, or the id of a job
 * @returns next null on the last page
 * @throws RequestError `not-found` for a job that does not exist
 */
export function pageOf(
  jobs: readonly JobRecord[],
  { limit, after }: { readonly limit: number; readonly after?: string | undefined },
  positionOf: (id: string) => Position | undefined,
): { readonly page: readonly JobRecord[]; readonly next: string | null } {
  const all = [...jobs].sort(newestFirst);
  const start = after === undefined ? null : (parseCursor(after) ?? positionOf(after));
  if (start === undefined) {
    throw new RequestError('not-found', `parameter "after": there is no job "${after}"`);
  }
  const rest = start === null ? all : all.filter((job) => newestFirst(start, job) < 0);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return { page, next: last && rest.length > limit ? `${last.createdAt}_${last.id}` : null };
}

function parseCursor(text: string): Position | undefined {
  const [, createdAt, id] = /^(\d{4}-\d\d-\d\dT[\d:.]{8,12}Z)_([\w-]{1,64})$/.exec(text) ?? [];
  return createdAt !== undefined && id !== undefined ? { createdAt, id } : undefined;
}
