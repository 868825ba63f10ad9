import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Request } from 'express';
import { z } from 'zod';
import { PRIORITIES } from '../../model/scheduler.js';
import type { ModelShelf } from '../../model/shelf.js';
import { parseParameters, planShape, simplifyShape, workOf } from '../contract/parameters.js';
import type { JobRecord, JobRequest } from '../jobs/job.js';
import type { Jobs } from '../jobs/jobs.js';
import type { NewJob } from '../jobs/new-job.js';
import type { JobStore } from '../jobs/store.js';
import { slidePath } from './slide-path.js';
import { receiveImage, type UploadLimits } from './upload.js';

/** What the routes that take images share. */
export interface Intake {
  readonly jobs: Jobs;
  readonly store: JobStore;
  readonly shelf: ModelShelf;
  readonly limits: UploadLimits;
  /** A client that reads nothing of its result for so long is left. */
  readonly idleTimeoutMs: number;
  /** Files below this folder may be named in requests; null for none. */
  readonly slides: string | null;
}

export const requestShape = {
  ...planShape,
  output: z.string().optional(),
  simplify: simplifyShape,
  priority: z.enum(PRIORITIES).optional(),
};
export type Parameters = z.output<z.ZodObject<typeof requestShape>>;

/**
 * The model that is asked for, by its version: one that appears later does not change the job. An hour
 * of upload should not end in a name that is wrong, so it is looked up first.
 */
export async function jobRequest(
  { shelf, slides }: Intake,
  parameters: Parameters,
  outputs: JobRequest['outputs'],
): Promise<JobRequest> {
  const { name, version } = await shelf.find(parameters.model);
  const { background, ...work } = workOf(parameters);
  const mask = typeof background === 'object' && background !== null;
  return {
    ...work,
    background: mask ? { mask: await slidePath(slides, background.mask) } : background,
    model: `${name}/${version}`,
    outputs,
    simplify: parameters.simplify,
  };
}

export const parseRequest = (given: unknown): Parameters =>
  parseParameters(z.strictObject(requestShape), given);

/** An image that has been received, and what its header says. */
export type TakenImage = Omit<NewJob, 'priority' | 'idempotency' | 'awaited'>;

/**
 * Takes a request's image into a job's folder, looks at its header, and makes a job of it as `decide` says.
 * The folder is removed if that fails, or `use` does; otherwise it is the job's business.
 */
export async function takeImage<Result>(
  intake: Intake,
  request: Request,
  job: JobRequest,
  decide: (taken: TakenImage) => NewJob,
  use: (record: JobRecord, uploadMs: number) => Promise<Result>,
): Promise<Result> {
  const { jobs, store, limits } = intake;
  jobs.checkPlace();
  const { id, folder } = await store.create();
  const input = join(folder, 'upload');
  try {
    const uploading = performance.now();
    const { bytes, name } = await receiveImage(request, input, limits);
    const uploadMs = Math.round((performance.now() - uploading) * 10) / 10;
    jobs.observe('upload', uploadMs);
    const record = await jobs.withPlace(async () => {
      const facts = await jobs.plan({ ...job, input, singleFile: true, scratchDir: folder });
      return jobs.submit(decide({ id, request: job, source: { kind: 'upload', name, bytes }, facts }));
    }, true);
    return await use(record, uploadMs);
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
