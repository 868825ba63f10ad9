import type { Request, Response } from 'express';

/** Notes the job that a request makes, for what is measured when its response has ended. */
export function noteJob({ res }: Request, id: string): void {
  if (res) res.locals.jobId = id;
}

/** The job that the request of a response has made; null where it has made none. */
export function jobOf({ locals }: Response): string | null {
  return typeof locals.jobId === 'string' ? locals.jobId : null;
}
