import { z } from 'zod';
import { PRIORITIES } from '../../../model/scheduler/priority.js';
import { FORMAT_NAMES, OUTPUTS } from '../outputs.js';
import { receiptSchema, recordedReceiptSchema } from '../receipt.js';
import { count, type Described, time } from './values.js';

export const JOB_STATES = ['queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled'] as const;
export type JobState = (typeof JOB_STATES)[number];

/** How far a job is. */
export const progressSchema = z
  .object({
    tiles: count,
    tilesDone: count,
    tilesReplayed: count.describe('of `tilesDone`, those that were read back from an interrupted run'),
    tilesSkipped: count.describe('of `tilesDone`, those that were skipped as background'),
    tilesConstant: count.describe('of `tilesDone`, those of one value that was computed before'),
    tilesIdentical: count.describe('of `tilesDone`, those with the pixels of an earlier tile'),
    pixels: count,
    pixelsDone: count,
    pixelsComputed: count.describe('of `pixelsDone`, those that this run computed'),
    haloAndPixels: count.describe('px that the network read, halos included'),
    planes: count.describe('of a stack; 1 for any other image'),
    planesDone: count,
    statistics: z
      .object({ pixels: count, pixelsDone: count })
      .optional()
      .describe('before the first tile: how far a pass over the image is that measures its statistics'),
  })
  .describe('how far a job is');
export type JobProgress = Described<typeof progressSchema>;

/** Why a job failed: a stable code of `problems.ts`, and a sentence for the client. */
export const failureSchema = z
  .object({ code: z.string(), detail: z.string() })
  .describe('a code of the errors, and what was wrong');
export type Failure = Described<typeof failureSchema>;

/** What changes while a job runs, and is not in its record: the data of the events `progress`. */
const liveSchema = z.object({
  progress: progressSchema.nullable().describe('null before the first tile'),
  pixelsPerSecond: z.number().nullable(),
  secondsLeft: z.number().nullable(),
  retry: failureSchema
    .extend({ at: time })
    .nullable()
    .describe(
      'why the last attempt failed, and when the next one is; null for a job that does not wait for one',
    ),
});
export type Live = Described<typeof liveSchema>;

const sourceSchema = z
  .discriminatedUnion('kind', [
    z.object({
      kind: z.literal('upload'),
      name: z.string().nullable(),
      bytes: count,
      sha256: z.string().nullable().describe('null where not all bytes came through one process'),
    }),
    z.object({ kind: z.literal('path'), path: z.string().describe('relative to the folder of slides') }),
    z.object({ kind: z.literal('url'), url: z.string().describe('without user, query and fragment') }),
  ])
  .describe("where the job's image is from");

const href = z.string().meta({ description: 'a path of this server', example: '/v1/jobs/…' });

/** A job as clients see it; it reveals no path of the server. */
export const jobSchema = z
  .object({
    id: z.string(),
    owner: z.string().describe('whose it is: `everyone`, or that of a token'),
    state: z.enum(JOB_STATES),
    priority: z.enum(PRIORITIES),
    createdAt: time,
    startedAt: time.nullable(),
    finishedAt: time.nullable(),
    source: sourceSchema,
    model: z.string().describe('`NAME/VERSION`'),
    image: receiptSchema.shape.image,
    plan: receiptSchema.shape.plan,
    ...liveSchema.shape,
    restarts: count.describe('workers that crashed while they ran this job'),
    error: failureSchema.nullable().describe('why it failed; null in any other state'),
    pause: failureSchema
      .extend({ since: time })
      .nullable()
      .describe('why a paused job waits, and since when; null in any other state'),
    receipt: recordedReceiptSchema.nullable().describe('null for a job that has not succeeded'),
    cachedFrom: z
      .string()
      .nullable()
      .describe('the job that computed its results, where that is an earlier one; it may be gone'),
    results: z
      .array(z.object({ output: z.enum(OUTPUTS), format: z.enum(FORMAT_NAMES), href }))
      .describe('empty until the job has succeeded'),
    links: z.object({ self: href, events: href, preview: href }),
  })
  .describe('an image that is segmented in the background');
export type JobView = Described<typeof jobSchema>;

/** A page of the list of jobs. */
export const jobListSchema = z
  .object({
    jobs: z.array(jobSchema).describe('the newest first'),
    next: z.string().nullable().describe('the `after` of the next page; null on the last one'),
    total: count.describe('jobs of the list, on all pages'),
    unreadable: z
      .array(z.object({ id: z.string(), reason: z.string() }))
      .describe('for admins: jobs whose records cannot be read; they stay until they are removed'),
  })
  .describe('a page of the list of jobs');

/** A Server-Sent Event of a job. */
export const jobEventSchema = z
  .object({
    id: z.string().describe('for `Last-Event-ID`'),
    event: z.enum(['state', 'progress']),
    data: z
      .string()
      .describe('of `state`, the job as JSON; of `progress`, its members that change while it runs')
      .meta({ contentMediaType: 'application/json' }),
  })
  .describe('what happened to a job');
