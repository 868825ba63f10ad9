import type { IncomingMessage } from 'node:http';
import type { Request } from 'express';
import { isStack } from '../../../tiling/planes.js';
import { RequestError } from '../../contract/errors.js';
import { checkOutput, FORMATS, type Format, type Output } from '../../contract/outputs.js';
import { parseParameters } from '../../contract/parameters.js';
import { listParametersSchema, resultParametersSchema } from '../../contract/queries.js';
import { hasEnded, type JobRecord, type JobSource } from '../../jobs/job.js';
import { sendAccepted, viewOf } from '../accepted.js';
import { setCacheStatus } from '../cache-control.js';
import type { RouteDependencies } from '../dependencies.js';
import { streamEvents } from '../events.js';
import { withFilesOf } from '../files-of-job.js';
import { acceptedFormat } from '../formats.js';
import { IdempotencyKeys, idempotencyOf } from '../idempotency.js';
import { createJob, originOf } from '../intake.js';
import {
  formatsFor,
  jsonBody,
  parseJobRequest,
  requestedOutputs,
  resolveJobRequest,
} from '../job-request.js';
import type { Operate } from '../operate.js';
import { pageOf } from '../paging.js';
import { isStillKnown, principalOf, visibleJobs } from '../principal.js';
import { sendFile } from '../send.js';

/** `/v1/jobs`: images that are segmented in the background. */
export function jobRoutes(operate: Operate, dependencies: RouteDependencies): void {
  const { jobs, idleTimeoutMs } = dependencies;
  const keys = new IdempotencyKeys(jobs);
  const view = (record: JobRecord) => viewOf(jobs, record);
  const visible = (request: IncomingMessage) => visibleJobs(jobs, request);

  operate('createJob', jsonBody(), async (request, response) => {
    const { source, parameters } = parseJobRequest(request);
    const idempotency = idempotencyOf(request, [parameters, source]);
    const owner = principalOf(request).id;
    const known = keys.replay(idempotency, owner);
    if (known) {
      request.resume();
      setCacheStatus(response, 'hit');
      sendAccepted(response.set('Idempotent-Replayed', 'true'), view(known));
      return;
    }
    const { priority = 'normal' } = parameters;
    const { record, cache } = await keys.exclusively(idempotency, owner, async () => {
      const work = await resolveJobRequest(
        dependencies,
        parameters,
        requestedOutputs(parameters),
        principalOf(request),
      );
      return createJob(dependencies, request, {
        origin: originOf(request, source),
        works: [work],
        priority,
        decide: () => ({ request: work, priority, idempotency, isAwaited: false }),
      });
    });
    setCacheStatus(response, cache);
    sendAccepted(response, view(record));
  });

  operate('listJobs', (request, response) => {
    const { state, ...cursor } = parseParameters(listParametersSchema, request.query);
    const jobs = visible(request);
    const listed = jobs.list(state);
    const { page, next } = pageOf(listed, cursor, (id) => jobs.list().find((job) => job.id === id));
    response.json({ jobs: page.map(view), next, total: listed.length, unreadable: jobs.unreadable() });
  });

  operate('getJob', (request, response) => {
    response.json(view(visible(request).get(request.params.id)));
  });

  operate('deleteJob', async (request, response) => {
    const { id } = request.params;
    const jobs = visible(request);
    if (jobs.isUnreadable(id) || hasEnded(jobs.get(id))) {
      await jobs.remove(id);
      response.status(204).end();
      return;
    }
    response.json(view(await jobs.cancel(id)));
  });

  operate('resumeJob', async (request, response) => {
    response.json(view(await visible(request).resume(request.params.id)));
  });

  operate('followJob', (request, response) => {
    const jobs = visible(request);
    const { id } = jobs.get(request.params.id);
    streamEvents(request, response, jobs.events(id), () => view(jobs.get(id)), {
      isAllowed: () => isStillKnown(request),
    });
  });

  operate('getResult', async (request, response) => {
    const record = visible(request).get(request.params.id);
    const { output, format } = requestedResult(request, record);
    const { type, ending } = FORMATS[format];
    response.attachment(`${jobs.hidesNames ? record.id : baseNameOf(record)}-${output}${ending}`);
    const etag = `${record.id}-${output}-${format}`;
    const onSent = (bytes: number) => jobs.countSent(output, bytes);
    await withFilesOf(jobs, record, async () => {
      const path = await jobs.results.get(record, output, format);
      await sendFile(request, response, path, { type, etag, idleTimeoutMs, onSent });
    });
  });

  operate('getPreview', async (request, response) => {
    const png = await jobs.results.preview(visible(request).get(request.params.id).id);
    if (png === null) throw new RequestError('not-ready', 'no preview: the job is not running');
    response.type('png').set('Cache-Control', 'no-store').send(Buffer.from(png));
  });
}

/**
 * The result that is requested: by the query, by `Accept`, or the job's first.
 * @throws UnsupportedOutputError for a format that the output is not written in
 */
function requestedResult(
  request: Request,
  { request: { outputs, choice } }: JobRecord,
): { readonly output: Output; readonly format: Format } {
  const { output = outputs[0]!.output, format } = parseParameters(resultParametersSchema, request.query);
  if (format) {
    checkOutput(output, format, isStack(choice));
    return { output, format };
  }
  const made = outputs.filter((result) => result.output === output).map((result) => result.format);
  const formats = made.length > 0 ? made : formatsFor(output, choice);
  return { output, format: acceptedFormat(request, formats) ?? formats[0]! };
}

/** The name of a job's image without folders and extension; the job's id if it has none. */
const baseNameOf = ({ id, source }: JobRecord): string =>
  (nameOf(source) ?? id).replace(/^.*[/\\]/, '').replace(/\.[^.]*$/, '');

function nameOf(source: JobSource): string | null {
  if (source.kind === 'upload') return source.name;
  return source.kind === 'path' ? source.name : new URL(source.url).pathname;
}
