import { Caller, type ClientOptions } from './caller.js';
import { type Job, Jobs } from './jobs.js';
import type { Body, Call, ResultOf, Route } from './operations.js';
import { Uploads } from './uploads.js';

export type { ClientOptions } from './caller.js';
export {
  type CreateOptions,
  hasEnded,
  type Job,
  type JobList,
  type JobParameters,
  type JobRequest,
} from './jobs.js';
export type { Body, Call, ResultOf, Route } from './operations.js';
export { ProblemError } from './problem.js';
export type { UploadOptions } from './uploads.js';

export type Model = ResultOf<'get /v1/models/{name}'>;
export type ModelList = ResultOf<'get /v1/models'>;
export type Plan = ResultOf<'post /v1/plan'>;
export type Receipt = NonNullable<Job['receipt']>;

/** A mask with its receipt, or the job that computes it: large images get one. */
export type Segmented =
  | { readonly mask: Blob; readonly receipt: Receipt; readonly job: null }
  | { readonly mask: null; readonly receipt: null; readonly job: Job };

export interface SegmentOptions {
  /** The type of the mask, where `output` names no format: `image/png` or `image/tiff`. */
  readonly accept?: string;
  /** Compute, whatever was computed before. Default false. */
  readonly isFresh?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * A server, for browsers and Node.js. Its types are those of the contract: of the schemas that the server validates
 * with. All methods throw `ProblemError` for what the server refuses.
 */
export class Unseam {
  readonly jobs: Jobs;
  readonly uploads: Uploads;
  readonly #caller: Caller;

  constructor(options: ClientOptions = {}) {
    this.#caller = new Caller(options);
    this.jobs = new Jobs(this.#caller);
    this.uploads = new Uploads(this.#caller);
  }

  /** Sends a request of any operation: `call('get /v1/jobs/{id}', { path: { id } })`. */
  call<Of extends Route>(route: Of, call: Call<Of>): Promise<Response> {
    return this.#caller.send(route, call);
  }

  /** Segments an image, and waits for its mask. */
  async segment(
    image: Body,
    parameters: NonNullable<Call<'post /v1/segment'>['query']>,
    { accept, isFresh = false, signal }: SegmentOptions = {},
  ): Promise<Segmented> {
    const response = await this.#caller.send('post /v1/segment', {
      body: image,
      query: parameters,
      headers: {
        ...(accept !== undefined && { Accept: accept }),
        ...(isFresh && { 'Cache-Control': 'no-cache' }),
      },
      ...(signal && { signal }),
    });
    if (response.status === 202) return { mask: null, receipt: null, job: (await response.json()) as Job };
    const receipt = JSON.parse(response.headers.get('Unseam-Receipt')!) as Receipt;
    return { mask: await response.blob(), receipt, job: null };
  }

  /** What a job would do, and what it would take, from the header of its image. */
  plan(request: NonNullable<Call<'post /v1/plan'>['json']>): Promise<Plan> {
    return this.#caller.json('post /v1/plan', { json: request });
  }

  /** The latest version of each model, and those that cannot be used. */
  models(): Promise<ModelList> {
    return this.#caller.json('get /v1/models', {});
  }

  /** @param name `NAME`, or `NAME/VERSION` */
  model(name: string): Promise<Model> {
    return this.#caller.json('get /v1/models/{name}', { path: { name } });
  }

  /** Who sends the requests. */
  session(): Promise<ResultOf<'get /v1/session'>> {
    return this.#caller.json('get /v1/session', {});
  }

  limits(): Promise<ResultOf<'get /v1/limits'>> {
    return this.#caller.json('get /v1/limits', {});
  }
}
