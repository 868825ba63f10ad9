import { z } from 'zod';
import { PRIORITIES } from '../../model/scheduler/priority.js';
import { EVERYONE } from '../access/principal.js';
import { RequestError } from '../contract/errors.js';
import { FORMAT_NAMES, OUTPUTS } from '../contract/outputs.js';
import { JOB_STATES } from '../contract/schemas/job.js';
import { STAGES } from '../contract/stages.js';
import { statisticsRequestSchema } from '../contract/statistics.js';
import type { JobRecord } from './job.js';

/**
 * The format version of the records that are written here, stored as `form`. A change that an earlier unseam would
 * misread needs a new one, and a step in `migrate`.
 */
const FORMAT_VERSION = 2;

const count = z.int().min(0);
const time = z.iso.datetime();
const pixelSize = z.object({ x: z.number(), y: z.number() });
const size = z.object({ width: z.int().min(1), height: z.int().min(1) });
const margins = z.object({ top: count, left: count, bottom: count, right: count });
const planes = z.union([count, z.literal('all'), z.array(z.tuple([count, count])).min(1)]);
const problem = z.object({ code: z.string(), detail: z.string() });

const source: z.ZodType<JobRecord['source']> = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('upload'),
    name: z.string().nullable(),
    bytes: count,
    sha256: z.string().nullable().default(null),
  }),
  z.object({ kind: z.literal('path'), path: z.string().min(1), name: z.string() }),
  z.object({ kind: z.literal('url'), url: z.url({ protocol: /^https?$/ }) }),
]);

/** Strict, so that an option that this version does not know is never ignored silently. */
const request = z.strictObject({
  model: z.string().regex(/^.+\/\d+(-int8)?$/, 'must be NAME/VERSION'),
  choice: z.strictObject({
    page: count.optional(),
    level: count.optional(),
    channels: z.array(z.union([count, z.string()])).optional(),
    z: planes.optional(),
    t: planes.optional(),
    range: z.tuple([z.number(), z.number()]).optional(),
    mpp: pixelSize.optional(),
  }),
  tile: z.union([z.enum(['auto', 'whole']), size]),
  symmetries: z.boolean(),
  threshold: z
    .union([z.number(), z.literal('card')])
    .nullable()
    .default(null),
  scale: z.boolean(),
  statistics: statisticsRequestSchema.optional(),
  background: z.union([z.literal('auto'), z.object({ mask: z.string().min(1) })]).nullable(),
  outputs: z
    .array(
      z.object({
        output: z.enum(OUTPUTS),
        format: z.enum(FORMAT_NAMES),
      }),
    )
    .min(1),
  simplify: z.number().min(0),
});

const progress = z.object({
  tiles: count,
  tilesDone: count,
  tilesReplayed: count,
  tilesSkipped: count,
  tilesConstant: count.default(0),
  tilesIdentical: count.default(0),
  pixels: count,
  pixelsDone: count,
  pixelsComputed: count,
  haloAndPixels: count,
  planes: count.default(1),
  planesDone: count.default(0),
});

/** The fields of a receipt that the server reads; clients get all others as they were written. */
const receipt: z.ZodType<NonNullable<JobRecord['receipt']>> = z.looseObject({
  model: z.looseObject({ name: z.string(), version: z.union([count, z.string()]), sha256: z.string() }),
  exact: z.boolean(),
  repeatable: z.boolean().default(true),
  stagesMs: z.partialRecord(z.enum(STAGES), z.number()),
  cached: z.object({ computedAt: time }).nullable().default(null),
});

const recordSchema: z.ZodType<JobRecord> = z.object({
  id: z.uuid(),
  owner: z.string().default(EVERYONE),
  expectedBytes: count.default(0),
  state: z.enum(JOB_STATES),
  priority: z.enum(PRIORITIES),
  source,
  request,
  image: z.object({
    ...size.shape,
    channels: z.int().min(1),
    dtype: z.string(),
    mpp: pixelSize.nullable(),
    stack: z
      .object({ z: z.string(), t: z.string(), sizeZ: z.int().min(1), sizeT: z.int().min(1) })
      .nullable()
      .default(null),
  }),
  plan: z.object({
    tile: z.string(),
    halo: margins,
    stride: z.string(),
    tiles: z.int().min(1),
    haloShare: z.number(),
  }),
  createdAt: time,
  startedAt: time.nullable(),
  finishedAt: time.nullable(),
  progress: progress.nullable(),
  receipt: receipt.nullable(),
  error: problem.nullable(),
  pause: problem.extend({ since: time }).nullable(),
  restarts: count,
  strikes: count,
  idempotency: z.object({ key: z.string(), digest: z.string() }).nullable(),
  cache: z
    .object({
      key: z.string(),
      files: z.record(z.string(), z.object({ bytes: count, modifiedMs: z.number() })).nullable(),
    })
    .nullable()
    .default(null),
  cachedFrom: z.uuid().nullable().default(null),
});

/** A job whose record cannot be read; its folder stays untouched until its client removes it. */
export interface UnreadableJob {
  readonly id: string;
  readonly reason: string;
}

/** Formats a record for its file. */
export function formatRecord(record: JobRecord): string {
  return JSON.stringify({ form: FORMAT_VERSION, ...record });
}

/**
 * Parses what `formatRecord` of this version, or of an earlier one, wrote.
 * @param id of the job that the record should be of
 * @throws RequestError `unreadable-record`, with the reason
 */
export function parseRecord(text: string, id: string): JobRecord {
  const parsed = recordSchema.safeParse(migrate(parseJson(text)));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw unreadable(`its job.json is invalid: "${issue!.path.join('.')}": ${issue!.message}`);
  }
  if (parsed.data.id !== id) throw unreadable(`its job.json belongs to job ${parsed.data.id}`);
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable('its job.json is not valid JSON');
  }
}

const anyForm = z.looseObject({ form: z.unknown().default(1) });

/** Converts a record of any format version to the current one. */
function migrate(raw: unknown): unknown {
  const parsed = anyForm.safeParse(raw);
  if (!parsed.success || parsed.data.form === FORMAT_VERSION) return raw;
  // Format version 1 did not state itself. It had no pauses, and lost the strikes of a job when the server ended.
  const { form, ...record } = parsed.data;
  if (form === 1) return { ...record, pause: null, strikes: 0 };
  const known = `this one reads versions 1 to ${FORMAT_VERSION}`;
  throw unreadable(`its job.json has format version ${String(form)}, of a newer unseam; ${known}`);
}

/** The error for a job that does not exist, or that belongs to another owner. */
export const noJob = (id: string): RequestError => new RequestError('not-found', `there is no job ${id}`);

/**
 * The error for a record that cannot be read.
 * @param reason the end of a sentence about the job, such as "its job.json is not valid JSON"
 */
export function unreadable(reason: string, cause?: unknown): RequestError {
  return new RequestError('unreadable-record', reason, { cause });
}
