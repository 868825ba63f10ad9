import type { JobView } from '../../server/contract/schemas/job.js';

/** Yields a job at each of its events, first its current state; ends with the job or the server. */
async function* jobEvents(server: string, id: string): AsyncGenerator<JobView> {
  const response = await fetch(`${server}/v1/jobs/${id}/events`);
  if (!response.ok || !response.body) throw new Error(`the events of job ${id}: HTTP ${response.status}`);
  let job = {} as JobView;
  let text = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const events = (text + chunk).split('\n\n');
    text = events.pop()!;
    for (const event of events) {
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data !== undefined) yield (job = { ...job, ...JSON.parse(data) });
    }
  }
}

/**
 * Follows a job's events until one of them satisfies a condition.
 * @throws Error where they end before
 */
export async function jobWhen(
  server: string,
  id: string,
  condition: (job: JobView) => boolean,
): Promise<JobView> {
  let state = 'unknown';
  for await (const job of jobEvents(server, id)) {
    if (condition(job)) return job;
    state = job.state;
  }
  throw new Error(`the events of job ${id} ended, and the job was ${state}`);
}

/** Waits until a job is neither queued nor running: it is paused or has ended. */
export const settledJob = (server: string, id: string): Promise<JobView> =>
  jobWhen(server, id, ({ state }) => state !== 'queued' && state !== 'running');
