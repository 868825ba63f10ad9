import type { Caller } from './caller.js';
import { eventsOf, type ServerEvent } from './event-stream.js';
import type { Body, Call, ResultOf } from './operations.js';
import { Retries } from './retry.js';

export type Job = ResultOf<'get /v1/jobs/{id}'>;
export type JobList = ResultOf<'get /v1/jobs'>;
/** Where an image is, and how it is segmented. */
export type JobRequest = NonNullable<Call<'post /v1/jobs'>['json']>;
/** How an image is segmented. */
export type JobParameters = NonNullable<Call<'post /v1/jobs'>['query']>;

export interface CreateOptions {
  /** Any text: repeating the request with the same one returns the same job. */
  readonly idempotencyKey?: string;
  /** Compute, whatever was computed before. Default false. */
  readonly isFresh?: boolean;
  readonly signal?: AbortSignal;
}
interface Signalled {
  readonly signal?: AbortSignal;
}
interface Following extends Signalled {
  /** Maximum number of reconnections in a row, over 15 s at first and every 8 s then. Default 5. */
  readonly retries?: number;
}

/** Whether a job is in a final state. */
export const hasEnded = ({ state }: Pick<Job, 'state'>): boolean =>
  state === 'succeeded' || state === 'failed' || state === 'cancelled';

/** Jobs: images that are segmented in the background. All methods throw `ProblemError`. */
export class Jobs {
  constructor(private readonly caller: Caller) {}

  /** Creates a job for an image that the server can reach: an upload, a path or a URL. */
  create(request: JobRequest, options: CreateOptions = {}): Promise<Job> {
    return this.caller.json('post /v1/jobs', { json: request, ...initOf(options) });
  }

  /** Creates a job of an image that is sent. For large ones, `uploads.send` survives broken connections. */
  createFrom(image: Body, parameters: JobParameters, options: CreateOptions = {}): Promise<Job> {
    return this.caller.json('post /v1/jobs', { body: image, query: parameters, ...initOf(options) });
  }

  get(id: string, { signal }: Signalled = {}): Promise<Job> {
    return this.caller.json('get /v1/jobs/{id}', { path: { id }, ...(signal && { signal }) });
  }

  /** A page of the jobs, the newest first. */
  list(query: Call<'get /v1/jobs'>['query'] = {}): Promise<JobList> {
    return this.caller.json('get /v1/jobs', { query });
  }

  /** Cancels a job, or removes one that has ended. */
  async delete(id: string): Promise<void> {
    await this.caller.send('delete /v1/jobs/{id}', { path: { id } });
  }

  /** Resumes a paused job. */
  resume(id: string): Promise<Job> {
    return this.caller.json('post /v1/jobs/{id}/resume', { path: { id } });
  }

  /**
   * A job each time that it changes, until it has ended. A broken connection is opened again, and continues with the
   * events that were missed.
   */
  async *follow(id: string, { signal, retries: tries }: Following = {}): AsyncGenerator<Job> {
    const retries = new Retries(tries);
    let lastId = '';
    let job: Job | undefined;
    while (job === undefined || !hasEnded(job)) {
      try {
        const response = await this.caller.send('get /v1/jobs/{id}/events', {
          path: { id },
          headers: lastId === '' ? {} : { 'Last-Event-ID': lastId },
          ...(signal && { signal }),
        });
        // No content: the job has ended, and all of its events were seen.
        if (response.status === 204) yield (job = await this.get(id));
        for await (const event of eventsOf(response)) {
          retries.succeed();
          lastId = event.id;
          job = changed(job, event);
          if (job !== undefined) yield job;
        }
        if (job === undefined || !hasEnded(job))
          throw new TypeError('the events of the job ended before it did');
      } catch (error) {
        await retries.wait(error, signal);
      }
    }
  }

  /** Resolves with a job when it has ended, whether it succeeded or not. */
  async wait(
    id: string,
    { onChange, ...options }: Following & { readonly onChange?: (job: Job) => void } = {},
  ): Promise<Job> {
    let last: Job | undefined;
    for await (const job of this.follow(id, options)) {
      last = job;
      onChange?.(job);
    }
    return last!;
  }

  /** A result of a job that has succeeded: its body is the file. */
  result(
    id: string,
    query: NonNullable<Call<'get /v1/jobs/{id}/result'>['query']> = {},
    { signal, range }: Signalled & { readonly range?: string } = {},
  ): Promise<Response> {
    const headers = range === undefined ? {} : { Range: range };
    return this.caller.send('get /v1/jobs/{id}/result', {
      path: { id },
      query,
      headers,
      ...(signal && { signal }),
    });
  }
}

const initOf = ({ idempotencyKey, isFresh = false, signal }: CreateOptions) => ({
  headers: {
    ...(idempotencyKey !== undefined && { 'Idempotency-Key': idempotencyKey }),
    ...(isFresh && { 'Cache-Control': 'no-cache' }),
  },
  ...(signal && { signal }),
});

/** A job after an event: `state` has the job, `progress` what changes while it runs. */
function changed(job: Job | undefined, { type, data }: ServerEvent): Job | undefined {
  const members = JSON.parse(data) as Job;
  return type === 'state' ? members : job && { ...job, ...members };
}
