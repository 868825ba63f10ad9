import { type Job, ProblemError } from '../client/index.js';
import { isRefusal, type Outcome } from './images.js';
import type { Priority } from './measure/ledger.js';
import type { Sample } from './samples.js';
import type { Target } from './target.js';

/** A job from its submission to its mask. Times are in ms after the submission. */
export interface JobOutcome extends Outcome {
  /** Null for a job that was not accepted. */
  readonly id: string | null;
  /** Time of the event that says that it has ended. */
  readonly endedMs: number;
}

/** Submits an image as a job, follows it by its events to its end, and compares its mask. */
export async function runJob(
  target: Target,
  model: string,
  sample: Sample,
  priority: Priority,
): Promise<JobOutcome> {
  const started = performance.now();
  const parameters = { model, priority, output: 'labels:png' };
  try {
    const { id } = await target.client.jobs.createFrom(sample.image as Uint8Array<ArrayBuffer>, parameters, {
      isFresh: true,
    });
    return await followJob(target, sample, id, started);
  } catch (error) {
    const ended = { sample, id: null, endedMs: performance.now() - started };
    const status = error instanceof ProblemError ? error.status : 0;
    const verdict = isRefusal(status) ? 'refused' : 'failed';
    return { ...ended, verdict, status, problem: (error as Error).message };
  }
}

/**
 * Follows a job that was accepted to its mask. It is counted as ended, and remains on the server.
 * @param started when it was submitted, by `performance.now`
 */
export async function followJob(
  target: Target,
  sample: Sample,
  id: string,
  started: number,
): Promise<JobOutcome> {
  const { client, ledger } = target;
  ledger.countUpload(sample.image.length);
  try {
    const job = await client.jobs.wait(id);
    const ended = { sample, status: 202, id, endedMs: performance.now() - started };
    countEnd(target, job);
    if (job.state !== 'succeeded')
      return { ...ended, verdict: 'failed', problem: `the job ${job.state}: ${job.error?.detail ?? ''}` };
    ledger.countPixels(sample.pixels);
    const result = await client.jobs.result(id, { output: 'labels', format: 'png' });
    const mask = Buffer.from(await result.arrayBuffer());
    ledger.countResult(mask.length);
    const isRight = mask.equals(sample.mask);
    return { ...ended, verdict: isRight ? 'right' : 'wrong', problem: isRight ? null : 'another mask' };
  } catch (error) {
    const endedMs = performance.now() - started;
    const status = error instanceof ProblemError ? error.status : 0;
    return { sample, status, id, endedMs, verdict: 'failed', problem: (error as Error).message };
  }
}

function countEnd({ jobs, ledger }: Target, { id, state, priority }: Job): void {
  jobs.set(id, state);
  ledger.countJob(state);
  ledger.countEnd(priority, state);
}

/** Removes a job that has ended: the server counts it no more. */
export async function removeJob({ client, jobs, ledger }: Target, id: string): Promise<void> {
  await client.jobs.delete(id);
  const state = jobs.get(id);
  if (state !== undefined) ledger.countJob(state, -1);
  jobs.delete(id);
}
