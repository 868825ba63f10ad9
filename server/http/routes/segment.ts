import type { Request } from 'express';
import { UnsupportedOutputError } from '../../../tiling/errors.js';
import type { PlaneChoice } from '../../../tiling/planes.js';
import { FORMATS, type Format, listed, type Output } from '../../contract/outputs.js';
import { pixelsOf } from '../../contract/receipt.js';
import { sendAccepted, viewOf } from '../accepted.js';
import { withAwaited } from '../awaited-job.js';
import { setCacheStatus } from '../cache-control.js';
import type { RouteDependencies } from '../dependencies.js';
import { disconnection } from '../disconnection.js';
import { acceptedFormat } from '../formats.js';
import { createJob, type JobIntake, originOf } from '../intake.js';
import {
  formatsFor,
  parseJobParameters,
  parseResult,
  requestedOutputs,
  resolveJobRequest,
} from '../job-request.js';
import type { Operate } from '../operate.js';
import { principalOf } from '../principal.js';
import { receiptHeaders } from '../receipt-headers.js';
import { sendFile } from '../send.js';

/**
 * `POST /v1/segment`: an image in, its mask out. It runs as a job that ends with its request, or when `ended` aborts.
 * A request that prefers `respond-async`, or whose image has more than `syncPixels`, gets its job instead.
 */
export function segmentRoute(
  operate: Operate,
  dependencies: RouteDependencies,
  syncPixels: number,
  ended: AbortSignal,
): void {
  const { jobs, idleTimeoutMs } = dependencies;
  operate('segment', async (request, response) => {
    const parameters = parseJobParameters(request.query);
    const { output, format = negotiate(request, output, parameters) } = parseResult(
      parameters.output ?? 'labels',
      parameters,
    );
    const prefersAsync = /\brespond-async\b/.test(request.get('Prefer') ?? '');
    const disconnected = disconnection(response, ended);
    const work = await resolveJobRequest(
      dependencies,
      parameters,
      [{ output, format }],
      principalOf(request),
    );

    const outputs = requestedOutputs({ ...parameters, output: `${output}:${format}` });
    const workOfJob = { ...work, outputs };
    const works = [work, workOfJob] as const;
    const { priority } = parameters;
    const likely = priority ?? (prefersAsync ? 'normal' : 'interactive');

    const decide: JobIntake['decide'] = ({ image }) => {
      const isAwaited = !prefersAsync && pixelsOf(image) <= syncPixels;
      return {
        request: isAwaited ? work : workOfJob,
        priority: priority ?? (isAwaited ? 'interactive' : 'normal'),
        idempotency: null,
        isAwaited,
      };
    };
    const origin = originOf(request, null);
    const job = await createJob(dependencies, request, { origin, works, priority: likely, decide });
    setCacheStatus(response, job.cache);
    const { id } = job.record;
    if (!jobs.isAwaited(id)) {
      if (prefersAsync) response.set('Preference-Applied', 'respond-async');
      sendAccepted(response, viewOf(jobs, jobs.get(id)));
      return;
    }

    await withAwaited(jobs, job, disconnected, async (receipt, stagesMs) => {
      response.set(receiptHeaders(receipt, stagesMs));
      await sendFile(request, response, jobs.results.path(id, output, format), {
        type: FORMATS[format].type,
        etag: null,
        idleTimeoutMs,
        onSent: (bytes) => jobs.countSent(output, bytes),
      });
    });
  });
}

/** @throws UnsupportedOutputError if the client accepts no format of the output */
function negotiate(request: Request, output: Output, choice: PlaneChoice): Format {
  const formats = formatsFor(output, choice);
  const accepted = acceptedFormat(request, formats);
  if (accepted) return accepted;
  const types = listed(formats.map((format) => FORMATS[format].type));
  throw new UnsupportedOutputError(`${output} are sent as ${types}, not ${request.get('Accept')}`);
}
