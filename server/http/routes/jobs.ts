import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { type Request, type Response, Router } from 'express';
import { z } from 'zod';
import { RequestError } from '../../contract/errors.js';
import {
  checkOutput,
  FORMATS,
  type Format,
  formatsOf,
  OUTPUTS,
  type Output,
  outputKindOf,
  parseOutput,
} from '../../contract/outputs.js';
import { parseParameters } from '../../contract/parameters.js';
import { hasEnded, JOB_STATES, type JobRecord, type JobRequest, type JobSource } from '../../jobs/job.js';
import { inputOf } from '../../jobs/spec.js';
import { jobView } from '../../jobs/view.js';
import { streamEvents } from '../events.js';
import { jobRequest, type Parameters, parseRequest, takeImage } from '../intake.js';
import { sendFile } from '../send.js';
import { type GivenSource, type JobRoutes, jsonBody, locate, parseBody, whileThere } from '../source.js';

const PAGE = { default: 50, most: 500 };

const listSchema = z.strictObject({
  state: z.enum(JOB_STATES).optional(),
  limit: z
    .string()
    .regex(/^\d+$/)
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= PAGE.most, `it is a number from 1 to ${PAGE.most}`)
    .optional(),
  after: z.string().optional(),
});
const resultSchema = z.strictObject({
  output: z.enum(OUTPUTS).optional(),
  format: z.enum(Object.keys(FORMATS) as [Format, ...Format[]]).optional(),
});

/** `/v1/jobs`: images that are segmented while nobody waits. */
export function jobRoutes(intake: JobRoutes): Router {
  const { jobs, idleTimeoutMs } = intake;
  const router = Router();
  const keys = new Set<string>();
  const view = (record: JobRecord) => jobView(record, jobs.live(record.id));

  router.post('/', jsonBody(), async (request, response) => {
    const { source, ...given } = parseBody(request);
    const parameters = parseRequest({ ...request.query, ...given });
    const key = request.get('Idempotency-Key');
    const digest = digestOf([parameters, source, request.get('Content-Length') ?? null]);
    const known = key === undefined ? null : jobs.withKey(key);
    if (known) {
      if (known.idempotency!.digest !== digest) {
        throw new RequestError('conflict', 'this Idempotency-Key was used for another request');
      }
      request.resume();
      accept(response.set('Idempotent-Replayed', 'true'), view(known));
      return;
    }
    await whileHeld(keys, key, async () => {
      const work = await jobRequest(intake, parameters, outputsOf(parameters));
      const more = {
        priority: parameters.priority ?? ('normal' as const),
        idempotency: key === undefined ? null : { key, digest },
        awaited: false,
      };
      const record = source
        ? await jobs.withPlace(() => submitSource(intake, source, work, more))
        : await takeImage(
            intake,
            request,
            work,
            (taken) => ({ ...taken, ...more }),
            async (made) => made,
          );
      accept(response, view(record));
    });
  });

  router.get('/', (request, response) => {
    const { state, limit = PAGE.default, after } = parseParameters(listSchema, request.query);
    const all = jobs.list(state).sort(newestFirst);
    const place = after === undefined ? null : placeOf(after, jobs);
    const rest = place === null ? all : all.filter((job) => newestFirst(place, job) < 0);
    const page = rest.slice(0, limit);
    const next = rest.length > limit ? `${page.at(-1)!.createdAt}_${page.at(-1)!.id}` : null;
    response.json({ jobs: page.map(view), next, total: all.length, unreadable: jobs.unreadable() });
  });

  router.get('/:id', (request, response) => {
    response.json(view(jobs.get(request.params.id)));
  });

  router.delete('/:id', async (request, response) => {
    const { id } = request.params;
    if (jobs.isUnreadable(id) || hasEnded(jobs.get(id))) {
      await jobs.remove(id);
      response.status(204).end();
      return;
    }
    response.json(view(await jobs.cancel(id)));
  });

  router.post('/:id/resume', async (request, response) => {
    response.json(view(await jobs.resume(request.params.id)));
  });

  router.get('/:id/events', (request, response) => {
    const record = jobs.get(request.params.id);
    streamEvents(request, response, jobs.events(record.id), () => view(jobs.get(record.id)));
  });

  router.get('/:id/result', async (request, response) => {
    const record = jobs.get(request.params.id);
    const { output, format } = wanted(request, record);
    const path = await jobs.results.get(record, output, format);
    const name = nameOf(record.source) ?? record.id;
    const stem = name.replace(/^.*[/\\]/, '').replace(/\.[^.]*$/, '');
    response.attachment(`${stem}-${output}${FORMATS[format].ending}`);
    const type = FORMATS[format].type;
    const etag = `${record.id}-${output}-${format}`;
    await sendFile(request, response, path, { type, etag, idleTimeoutMs });
  });

  router.get('/:id/preview', async (request, response) => {
    const png = await jobs.results.preview(jobs.get(request.params.id).id);
    if (png === null)
      throw new RequestError('not-found', 'the job does not run: there is nothing to preview');
    response.type('png').set('Cache-Control', 'no-store').send(Buffer.from(png));
  });
  return router;
}

type Place = Pick<JobRecord, 'createdAt' | 'id'>;

/** Jobs of one millisecond have an order, too: pages neither repeat nor leave out any. */
const newestFirst = (a: Place, b: Place): number =>
  b.createdAt.localeCompare(a.createdAt) || b.id.localeCompare(a.id);

/**
 * Where a page begins: after the `next` of the one before, whether its job is still there or not; or after
 * a job.
 * @throws RequestError for what is neither
 */
function placeOf(after: string, jobs: JobRoutes['jobs']): Place {
  const [, createdAt, id] = /^(\d{4}-\d\d-\d\dT[\d:.]{8,12}Z)_([\w-]{1,64})$/.exec(after) ?? [];
  if (createdAt !== undefined && id !== undefined) return { createdAt, id };
  const known = jobs.list().find((job) => job.id === after);
  if (known) return known;
  throw new RequestError(
    'bad-request',
    `parameter "after": it is the "next" of a page, and there is no job "${after}"`,
  );
}

/** 202, with where the job is to be looked at. */
export function accept(response: Response, job: ReturnType<typeof jobView>): void {
  response.status(202).location(job.links.self).json(job);
}

/**
 * The results that a job writes: `output` lists them, each as `OUTPUT` or `OUTPUT:FORMAT`. A mask as a
 * pyramidal TIFF is always among them, unless only probabilities are asked for: what else is made of a
 * slide is made of it.
 */
export function outputsOf({ output = 'labels' }: Parameters): JobRequest['outputs'] {
  const outputs = output.split(',').map((item) => {
    const [name, format] = item.split(':') as [string, string?];
    const known = parseOutput(name);
    const formats = formatsOf(known);
    const best = formats.includes('tiff') ? 'tiff' : formats[0]!;
    checkOutput(known, (format ?? best) as Format);
    return { output: known, format: (format ?? best) as Format };
  });
  if (outputKindOf(outputs) !== 'probabilities') outputs.unshift({ output: 'labels', format: 'tiff' });
  const seen = new Set<string>();
  return outputs.filter(({ output, format }) => {
    const key = `${output}:${format}`;
    return !seen.has(key) && seen.add(key);
  });
}

/** Which result a request wants: by its query, by `Accept`, or the first. */
function wanted(request: Request, { request: { outputs } }: JobRecord): { output: Output; format: Format } {
  const { output = outputs[0]!.output, format } = parseParameters(resultSchema, request.query);
  if (format) return { output, format };
  const made = outputs.filter((result) => result.output === output).map((result) => result.format);
  const formats = made.length > 0 ? made : formatsOf(output);
  const accepted = request.accepts(formats.map((known) => FORMATS[known].type));
  return { output, format: formats.find((known) => FORMATS[known].type === accepted) ?? formats[0]! };
}

type More = {
  readonly priority: JobRecord['priority'];
  readonly idempotency: JobRecord['idempotency'];
  readonly awaited: boolean;
};

/** A job of an image that lies elsewhere and is read there, or of an upload that is complete. */
async function submitSource(
  intake: JobRoutes,
  given: GivenSource,
  work: JobRequest,
  more: More,
): Promise<JobRecord> {
  const { jobs, store } = intake;
  const { id, folder } = await store.create();
  try {
    const found = await locate(intake, given);
    const { source, upload } = found;
    const input = upload?.file ?? inputOf(source, folder);
    const facts = await whileThere(intake, found, async () => {
      const planned = await jobs.plan({ ...work, input, singleFile: upload !== null, scratchDir: folder });
      await upload?.take(inputOf(source, folder)); // what cannot be segmented stays for another try
      return planned;
    });
    return await jobs.submit({ id, request: work, source, facts, ...more });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/**
 * Carries out a request while no other with its key is.
 * @throws RequestError `conflict` where one is
 */
async function whileHeld(
  keys: Set<string>,
  key: string | undefined,
  work: () => Promise<void>,
): Promise<void> {
  if (key === undefined) return work();
  if (keys.has(key))
    throw new RequestError('conflict', 'a request with this Idempotency-Key is still being received');
  keys.add(key);
  try {
    await work();
  } finally {
    keys.delete(key);
  }
}

/** What a source is called, if it has a name. */
function nameOf(source: JobSource): string | null {
  if (source.kind === 'upload') return source.name;
  return source.kind === 'path' ? source.name : new URL(source.url).pathname;
}

function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
