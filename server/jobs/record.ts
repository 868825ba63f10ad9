import { z } from 'zod';
import { PRIORITIES } from '../../model/scheduler.js';
import { RequestError } from '../contract/errors.js';
import { FORMATS, type Format, OUTPUTS } from '../contract/outputs.js';
import { STAGES } from '../contract/stages.js';
import { JOB_STATES, type JobRecord } from './job.js';

/**
 * The form of records that this version writes. A change that an earlier version would misread makes a new
 * form, and a step in `migrated`.
 */
const FORM = 2;

const count = z.int().min(0);
const time = z.iso.datetime();
const pixelSize = z.object({ x: z.number(), y: z.number() });
const size = z.object({ width: z.int().min(1), height: z.int().min(1) });
const margins = z.object({ top: count, left: count, bottom: count, right: count });
const problem = z.object({ code: z.string(), detail: z.string() });

const source: z.ZodType<JobRecord['source']> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('upload'), name: z.string().nullable(), bytes: count }),
  z.object({ kind: z.literal('path'), path: z.string().min(1), name: z.string() }),
  z.object({ kind: z.literal('url'), url: z.url({ protocol: /^https?$/ }) }),
]);

/** Strict: a wish that this version does not know would be left out in silence. */
const request = z.strictObject({
  model: z.string().regex(/^.+\/\d+$/, 'it is NAME/VERSION'),
  choice: z.strictObject({
    page: count.optional(),
    level: count.optional(),
    channels: z.array(count).optional(),
    z: count.optional(),
    t: count.optional(),
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
  background: z.union([z.literal('auto'), z.object({ mask: z.string().min(1) })]).nullable(),
  outputs: z
    .array(
      z.object({
        output: z.enum(OUTPUTS),
        format: z.enum(Object.keys(FORMATS) as [Format, ...Format[]]),
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
  pixels: count,
  pixelsDone: count,
  pixelsComputed: count,
  haloAndPixels: count,
});

/** Of a receipt, what the server itself reads again; the rest is passed on as it was written. */
const receipt: z.ZodType<NonNullable<JobRecord['receipt']>> = z.looseObject({
  model: z.looseObject({ name: z.string(), version: count, sha256: z.string() }),
  exact: z.boolean(),
  stagesMs: z.partialRecord(z.enum(STAGES), z.number()),
});

const recordSchema: z.ZodType<JobRecord> = z.object({
  id: z.uuid(),
  state: z.enum(JOB_STATES),
  priority: z.enum(PRIORITIES),
  source,
  request,
  image: z.object({
    ...size.shape,
    channels: z.int().min(1),
    dtype: z.string(),
    mpp: pixelSize.nullable(),
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
});

/** A job that is on the disk and cannot be read; it is left as it is until its client removes it. */
export interface UnreadableJob {
  readonly id: string;
  readonly reason: string;
}

export function writeRecord(record: JobRecord): string {
  return JSON.stringify({ form: FORM, ...record });
}

/**
 * Reads what `writeRecord` wrote, now or in an earlier version.
 * @throws RequestError `unreadable-record`, with the reason
 */
export function parseRecord(text: string, id: string): JobRecord {
  const parsed = recordSchema.safeParse(migrated(parseJson(text)));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw unreadable(`its job.json is not as it must be: "${issue!.path.join('.')}": ${issue!.message}`);
  }
  if (parsed.data.id !== id) throw unreadable(`its job.json is that of job ${parsed.data.id}`);
  return parsed.data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable('its job.json is no JSON: it ends in the middle, or is something else');
  }
}

/** A record of any form as one of today's. */
function migrated(raw: unknown): unknown {
  const { form = 1 } = z.object({ form: z.unknown().optional() }).catch({}).parse(raw);
  // Form 1 said no form, forgot with the server how often a job had ended its worker, and knew no pauses.
  if (form === 1) return { ...(raw as object), pause: null, strikes: 0 };
  if (form === FORM) return raw;
  const known = `this one reads forms 1 to ${FORM}`;
  throw unreadable(`its job.json is of form ${String(form)}, from a later version of unseam; ${known}`);
}

/** @param reason what is wrong, as the end of a sentence about the job */
export function unreadable(reason: string, cause?: unknown): RequestError {
  return new RequestError('unreadable-record', reason, { cause });
}
