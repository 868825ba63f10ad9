import { IMAGE_HEADERS, type Outcome } from './images.js';
import type { Priority } from './measure/ledger.js';
import type { Sample } from './samples.js';
import type { Reply, Target } from './target.js';

/** A job as far as the load test reads it. */
interface Job {
  readonly id: string;
  readonly state: string;
  readonly priority: Priority;
  readonly error?: { readonly detail: string } | null;
}

/** A job from its submission to its mask. Times are in ms after the submission. */
export interface JobOutcome extends Outcome {
  /** Null for a job that was not accepted. */
  readonly id: string | null;
  /** Of the response 202. */
  readonly acceptedMs: number;
  /** Of the event that says that it has ended. */
  readonly endedMs: number;
}

const ENDED = ['succeeded', 'failed', 'cancelled'];

/** Submits an image as a job, follows it by its events to its end, and compares its mask. */
export async function runJob(
  target: Target,
  model: string,
  sample: Sample,
  priority: Priority,
): Promise<JobOutcome> {
  const query = new URLSearchParams({ model, priority, output: 'labels:png' });
  const started = performance.now();
  const reply = await target.send({
    method: 'POST',
    path: `/v1/jobs?${query}`,
    route: '/v1/jobs',
    headers: IMAGE_HEADERS,
    body: sample.image,
  });
  return followJob(target, sample, reply, started);
}

/**
 * Follows a job from the response to its request to its mask. It is counted as ended, and remains on the server.
 * @param started when it was submitted, by `performance.now`
 */
export async function followJob(
  target: Target,
  sample: Sample,
  accepted: Reply,
  started: number,
): Promise<JobOutcome> {
  const acceptedMs = performance.now() - started;
  const { status } = accepted;
  if (status !== 202) {
    const verdict = status === 429 || status === 503 ? 'refused' : 'failed';
    const problem = accepted.failure ?? `status ${status}: ${accepted.body.toString().slice(0, 300)}`;
    return { sample, status, verdict, problem, id: null, acceptedMs, endedMs: acceptedMs };
  }
  target.ledger.countUpload(sample.image.length);
  const { id } = JSON.parse(accepted.body.toString()) as Job;
  const job = await jobEnded(target, id);
  const endedMs = performance.now() - started;
  const ended = { sample, status, id, acceptedMs, endedMs };
  target.jobs.set(id, job.state);
  target.ledger.countJob(job.state);
  target.ledger.countEnd(job.priority, job.state);
  if (job.state !== 'succeeded') {
    return { ...ended, verdict: 'failed', problem: `the job ${job.state}: ${job.error?.detail ?? ''}` };
  }
  target.ledger.countPixels(sample.pixels);
  const result = await target.send({
    method: 'GET',
    path: `/v1/jobs/${id}/result?output=labels&format=png`,
    route: '/v1/jobs/:id/result',
  });
  if (result.status !== 200) {
    const problem = result.failure ?? `its mask: status ${result.status}`;
    return { ...ended, verdict: 'failed', problem };
  }
  target.ledger.countResult(result.body.length);
  const isRight = result.body.equals(sample.mask);
  return { ...ended, verdict: isRight ? 'right' : 'wrong', problem: isRight ? null : 'another mask' };
}

/** The job as it is when its events end. */
async function jobEnded(target: Target, id: string): Promise<Job> {
  for (;;) {
    const events = new EventReader();
    const path = `/v1/jobs/${id}/events`;
    const { status, failure } = await target.send({
      method: 'GET',
      path,
      route: '/v1/jobs/:id/events',
      onText: (text) => events.add(text),
    });
    if (status !== 200)
      return {
        id,
        state: 'lost',
        priority: 'normal',
        error: { detail: failure ?? `its events: status ${status}` },
      };
    const job = events.lastState;
    if (job && ENDED.includes(job.state)) return job;
  }
}

/** Removes a job that has ended: the server counts it no more. */
export async function removeJob(target: Target, id: string): Promise<void> {
  const { status } = await target.send({ method: 'DELETE', path: `/v1/jobs/${id}`, route: '/v1/jobs/:id' });
  if (status !== 204) throw new Error(`DELETE /v1/jobs/${id}: status ${status}`);
  target.ledger.countJob(target.jobs.get(id) ?? 'lost', -1);
  target.jobs.delete(id);
}

/** Reads Server-Sent Events as they arrive, in pieces that may end anywhere. */
export class EventReader {
  #text = '';
  /** The job of the last `state` event; null before the first. */
  lastState: Job | null = null;

  add(text: string): void {
    const blocks = (this.#text + text).split('\n\n');
    this.#text = blocks.pop()!;
    for (const block of blocks) {
      if (!/^event: state$/m.test(block)) continue;
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (data !== undefined) this.lastState = JSON.parse(data) as Job;
    }
  }
}
