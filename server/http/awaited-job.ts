import { RequestError } from '../contract/errors.js';
import type { RecordedReceipt } from '../jobs/job.js';
import type { Jobs } from '../jobs/jobs.js';
import type { CreatedJob } from './intake.js';

/**
 * Waits for a job that ends with its request, and removes it with its files once its results are sent. A client that
 * disconnects cancels it.
 * @param send receives its receipt, and the duration of each stage of the request in ms
 */
export async function withAwaited(
  jobs: Jobs,
  { record: { id }, uploadMs, cache }: CreatedJob,
  disconnected: AbortSignal,
  send: (receipt: RecordedReceipt, stagesMs: RecordedReceipt['stagesMs']) => Promise<void>,
): Promise<void> {
  try {
    disconnected.addEventListener('abort', () => void jobs.cancel(id).catch(() => undefined));
    if (disconnected.aborted) await jobs.cancel(id);
    const { receipt, error } = await jobs.wait(id);
    if (error) throw new JobFailedError(error);
    if (!receipt) throw disconnected.reason ?? new RequestError('cancelled', 'the job was cancelled');
    await send(receipt, { upload: uploadMs ?? 0, ...(cache !== 'hit' && receipt.stagesMs) });
  } finally {
    await jobs.remove(id);
  }
}

/** The failure of a job, as the error of the request that waited for it. */
class JobFailedError extends Error {
  readonly code: string;
  constructor({ code, detail }: { readonly code: string; readonly detail: string }) {
    super(detail);
    this.code = code;
  }
}
