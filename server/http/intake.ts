import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Request } from 'express';
import { z } from 'zod';
import { PRIORITIES } from '../../model/scheduler.js';
import type { JobRequest } from '../jobs/job.js';
import type { Jobs, NewJob } from '../jobs/jobs.js';
import type { JobStore } from '../jobs/store.js';
import type { ModelShelf } from '../models.js';
import { parseParameters, planShape, simplifyShape, workOf } from '../parameters.js';
import { slidePath } from './slide-path.js';
import { receiveImage, type UploadLimits } from './upload.js';

/** What the routes that take images share. */
export interface Intake {
  readonly jobs: Jobs;
  readonly store: JobStore;
  readonly shelf: ModelShelf;
  readonly limits: UploadLimits;
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

/**
 * Takes a request's image into a job's folder and looks at its header. The folder is removed if that
 * fails; `use` makes a job of it, and whether the folder stays is then the job's business.
 */
export async function takeImage<Result>(
  intake: Intake,
  request: Request,
  job: JobRequest,
  use: (
    taken: Omit<NewJob, 'priority' | 'idempotency' | 'awaited'> & { uploadMs: number },
  ) => Promise<Result>,
): Promise<Result> {
  const { jobs, store, limits } = intake;
  const { id, folder } = await store.create();
  const input = join(folder, 'upload');
  try {
    const uploading = performance.now();
    const { bytes, name } = await receiveImage(request, input, limits);
    const uploadMs = Math.round((performance.now() - uploading) * 10) / 10;
    jobs.observe('upload', uploadMs);
    const facts = await jobs.plan({ ...job, input, scratchDir: folder });
    return await use({ id, request: job, source: { kind: 'upload', name, bytes }, facts, uploadMs });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
