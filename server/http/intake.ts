import type { Request } from 'express';
import type { Priority } from '../../model/scheduler/priority.js';
import type { Principal } from '../access/principal.js';
import type { RequestedSource } from '../contract/job-source.js';
import type { PlanSpec } from '../contract/job-spec.js';
import { codeOf } from '../contract/problems.js';
import { roundMs } from '../contract/stages.js';
import type { AdmittedPlace, Demand } from '../jobs/admission.js';
import { uploadPath } from '../jobs/folder.js';
import type { JobRecord, JobRequest, JobSource } from '../jobs/job.js';
import type { NewJob } from '../jobs/new-job.js';
import { type CacheOutcome, cachingOf } from './cache-control.js';
import type { RouteDependencies } from './dependencies.js';
import { noteJob, spanOf } from './observe-requests.js';
import { principalOf } from './principal.js';
import { type ReceivedImage, receiveImage, type UploadLimits } from './receive-image.js';
import type { StoredItem } from './transfers.js';

type IntakeDependencies = Pick<RouteDependencies, 'jobs' | 'store' | 'uploads' | 'limits' | 'slides'>;

/** The folder of a job that is about to be made. */
interface Place {
  readonly id: string;
  readonly folder: string;
}

/** The image of a request, wherever it is. */
interface RequestImage {
  readonly source: JobSource;
  readonly input: string;
  /** Whether it was uploaded: one file, which may refer to no others. */
  readonly singleFile: boolean;
  /** How long its body took to receive, in ms; null for an image that was not sent with the request. */
  readonly uploadMs: number | null;
  /** Moves a resumable upload into the job's folder; does nothing for other images. */
  readonly claim: () => Promise<void>;
  /** @throws RequestError `not-found` if a resumable upload is gone: another request has claimed it, or it expired */
  readonly check: () => Promise<void>;
}

/** Receives an image that is sent with its request, as a file. */
type Receive = (path: string, of: StoredItem, limits: UploadLimits) => Promise<ReceivedImage>;

/** Where the image of a request is. */
export type ImageOrigin =
  | { readonly kind: 'sent'; readonly receive: Receive }
  | { readonly kind: 'named'; readonly source: RequestedSource };

/** The image that a request names, or that is its body. */
export const originOf = (request: Request, source: RequestedSource | null): ImageOrigin =>
  source === null
    ? { kind: 'sent', receive: (...place) => receiveImage(request, ...place) }
    : { kind: 'named', source };

/** What a job is beside its image. */
export type Decision = Pick<NewJob, 'request' | 'priority' | 'idempotency' | 'isAwaited'>;

/** A job that a request wants. */
export interface JobIntake {
  readonly origin: ImageOrigin;
  /** What the request may be, which differs only in its outputs. */
  readonly works: readonly [JobRequest, ...JobRequest[]];
  /** Of the job, as far as it is known before its image. */
  readonly priority: Priority;
  /** Chooses one of `works`, and completes the job, given what is known of its image. */
  readonly decide: (facts: Pick<NewJob['facts'], 'image'>) => Decision;
}

/** The job that a request made. */
export interface CreatedJob {
  readonly record: JobRecord;
  readonly uploadMs: number | null;
  readonly cache: CacheOutcome;
}

/**
 * Makes a job of a request's image: receives or locates the image and, unless an earlier job has its results, plans it
 * from its header and starts it. A request that fails leaves no folder behind; a resumable upload stays available for
 * another try.
 *
 * @throws RequestError `busy`, `too-many-jobs` when no more jobs are accepted, before anything is received
 */
export async function createJob(
  dependencies: IntakeDependencies,
  request: Request,
  { origin, works, priority, decide }: JobIntake,
): Promise<CreatedJob> {
  const { jobs, store } = dependencies;
  const demand = { owner: principalOf(request).id, priority };
  jobs.checkPlace(demand);
  const place = await store.create();
  const { id, folder } = place;
  try {
    return await withImage(dependencies, request, origin, place, demand, async (image, admitted) => {
      const { uploadMs } = image;
      const span = spanOf(request);
      if (uploadMs !== null) {
        jobs.observeStage('upload', uploadMs, { job_id: id, ...(span && { trace_id: span.traceId }) });
        span?.child('upload', { startMs: Date.now() - uploadMs }).end();
      }
      const { mayReuse, mayStore } = cachingOf(request);
      const job = { id, owner: demand.owner, source: image.source, span };
      const keys = new Map<JobRequest, string | null>();
      for (const work of works) keys.set(work, await jobs.cache.keyOf({ ...job, request: work }));
      const complete = (facts: Pick<NewJob['facts'], 'image'>) => {
        const decision = decide(facts);
        admitted.changeTo(decision.priority);
        return { ...job, ...decision, resultKey: mayStore ? keys.get(decision.request)! : null };
      };
      const outcome = [...keys.values()].every((key) => key === null)
        ? 'bypass'
        : mayReuse
          ? 'miss'
          : 'request';
      if (outcome === 'miss') {
        const reused = await reuse(jobs, image, keys, complete);
        jobs.cache.count(reused !== null);
        if (reused) {
          noteJob(request, id);
          return { record: reused, uploadMs, cache: 'hit' };
        }
      }
      noteJob(request, id);
      const planning = span?.child('plan');
      const facts = await jobs.plan(specOf(image, works[0], folder)).finally(() => planning?.end());
      const record = await jobs.submit({ facts, ...complete(facts) }, image.claim);
      return { record, uploadMs, cache: outcome };
    });
  } catch (error) {
    await store.remove(id);
    throw error;
  }
}

/** Makes a job of the results of an earlier one; null if there is none that has one of the keys. */
async function reuse(
  jobs: RouteDependencies['jobs'],
  image: RequestImage,
  keys: ReadonlyMap<JobRequest, string | null>,
  complete: (facts: Pick<NewJob['facts'], 'image'>) => Omit<NewJob, 'facts'>,
): Promise<JobRecord | null> {
  for (const [work, key] of keys) {
    const earlier = key === null ? null : jobs.cache.find(key);
    const job = earlier && complete(earlier);
    if (job?.request !== work) continue;
    const record = await jobs.reuse(job, earlier!, image.claim);
    if (record) return record;
  }
  return null;
}

/**
 * Plans a job of a request's image, and estimates its time, as `Jobs.planWithTime` does. The image is discarded.
 * @throws RequestError `busy`, `too-many-jobs` when no more jobs are accepted, before anything is received
 */
export async function planImage(
  dependencies: IntakeDependencies,
  request: Request,
  { origin, work, priority }: Pick<JobIntake, 'origin' | 'priority'> & { readonly work: JobRequest },
) {
  const { jobs, store } = dependencies;
  const demand = { owner: principalOf(request).id, priority };
  jobs.checkPlace(demand);
  const place = await store.create();
  const { id, folder } = place;
  try {
    return await withImage(dependencies, request, origin, place, demand, (image) =>
      jobs.planWithTime(specOf(image, work, folder), priority),
    );
  } finally {
    await store.remove(id);
  }
}

/** Receives or locates a request's image, and holds a place for a job while `use` runs. */
async function withImage<Result>(
  dependencies: IntakeDependencies,
  request: Request,
  origin: ImageOrigin,
  place: Place,
  demand: Demand,
  use: (image: RequestImage, admitted: AdmittedPlace) => Promise<Result>,
): Promise<Result> {
  const isSent = origin.kind === 'sent';
  const image = isSent
    ? await receive(dependencies, origin.receive, place, demand)
    : await locate(dependencies, origin.source, place, principalOf(request));
  try {
    return await dependencies.jobs.withPlace(demand, (admitted) => use(image, admitted), isSent);
  } catch (error) {
    if (codeOf(error) === 'internal') await image.check(); // a missing file: its upload may be gone
    throw error;
  }
}

async function receive(
  { jobs, limits }: IntakeDependencies,
  receiveAs: Receive,
  { id, folder }: Place,
  demand: Demand,
): Promise<RequestImage> {
  const input = uploadPath(folder);
  // Again, right before the upload begins: others may have taken the places while its folder was created.
  jobs.checkPlace(demand);
  const start = performance.now();
  const received = await receiveAs(input, { id, owner: demand.owner }, limits);
  const uploadMs = roundMs(performance.now() - start);
  const name = jobs.hidesNames ? null : received.name;
  return { ...IN_PLACE, source: { kind: 'upload', ...received, name }, input, singleFile: true, uploadMs };
}

async function locate(
  { jobs, slides, uploads }: IntakeDependencies,
  source: RequestedSource,
  { id: job, folder }: Place,
  caller: Principal,
): Promise<RequestImage> {
  if ('path' in source) {
    const path = await slides.locate(source.path, caller);
    return { ...IN_PLACE, source: { kind: 'path', path, name: source.path }, input: path };
  }
  if ('url' in source) return { ...IN_PLACE, source: { kind: 'url', url: source.url }, input: source.url };
  const { id, name, bytes, sha256, file, take } = await uploads.find(source.upload, caller);
  let isClaimed = false;
  return {
    source: { kind: 'upload', name: jobs.hidesNames ? null : name, bytes, sha256 },
    get input() {
      return isClaimed ? uploadPath(folder) : file;
    },
    singleFile: true,
    uploadMs: null,
    async claim() {
      if (isClaimed) return;
      await take(uploadPath(folder), { id: job, owner: caller.id });
      isClaimed = true;
    },
    async check() {
      if (!isClaimed) await uploads.find(id, caller);
    },
  };
}

/** An image that is read where it is. */
const IN_PLACE = {
  singleFile: false,
  uploadMs: null,
  claim: async () => {},
  check: async () => {},
} as const;

const specOf = ({ input, singleFile }: RequestImage, work: JobRequest, folder: string): PlanSpec => ({
  ...work,
  input,
  singleFile,
  scratchDir: folder,
});
