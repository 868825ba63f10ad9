import type { Request } from 'express';
import { UnsupportedOutputError } from '../../../tiling/errors.js';
import { RequestError } from '../../contract/errors.js';
import { FORMATS, type Format, formatsOf, type Output } from '../../contract/outputs.js';
import { sendAccepted, viewOf } from '../accepted.js';
import { setCacheStatus } from '../cache-control.js';
import type { RouteDependencies } from '../dependencies.js';
import { disconnection } from '../disconnection.js';
import { acceptedFormat } from '../formats.js';
import { createJob } from '../intake.js';
import { parseJobParameters, parseResult, requestedOutputs, resolveJobRequest } from '../job-request.js';
import type { Operate } from '../operate.js';
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
    const { output, format = negotiate(request, output) } = parseResult(parameters.output ?? 'labels');
    const prefersAsync = /\brespond-async\b/.test(request.get('Prefer') ?? '');
    const disconnected = disconnection(response, ended);
    const work = await resolveJobRequest(dependencies, parameters, [{ output, format }]);

    const outputs = requestedOutputs({ ...parameters, output: `${output}:${format}` });
    const workOfJob = { ...work, outputs };
    const works = [work, workOfJob] as const;
    const { priority } = parameters;
    const likely = priority ?? (prefersAsync ? 'normal' : 'interactive');

    const job = await createJob(dependencies, request, null, works, likely, ({ image }) => {
      const isAwaited = !prefersAsync && image.width * image.height <= syncPixels;
      return {
        request: isAwaited ? work : workOfJob,
        priority: priority ?? (isAwaited ? 'interactive' : 'normal'),
        idempotency: null,
        isAwaited,
      };
    });
    const { record, uploadMs, cache } = job;
    setCacheStatus(response, cache);
    const { id } = record;
    if (!jobs.isAwaited(id)) {
      if (prefersAsync) response.set('Preference-Applied', 'respond-async');
      sendAccepted(response, viewOf(jobs, jobs.get(id)));
      return;
    }

    try {
      disconnected.addEventListener('abort', () => void jobs.cancel(id).catch(() => undefined));
      if (disconnected.aborted) await jobs.cancel(id);
      const { receipt, error } = await jobs.wait(id);
      if (error) throw new JobFailedError(error);
      if (!receipt) throw disconnected.reason ?? new RequestError('cancelled', 'the job was cancelled');
      response.set(
        receiptHeaders(receipt, { upload: uploadMs ?? 0, ...(cache !== 'hit' && receipt.stagesMs) }),
      );
      const path = jobs.results.path(id, output, format);
      await sendFile(request, response, path, {
        type: FORMATS[format].type,
        etag: null,
        idleTimeoutMs,
        onSent: (bytes) => jobs.countSent(output, bytes),
      });
    } finally {
      await jobs.remove(id);
    }
  });
}

/** The failure of a job, as the error of the request that waited for it. */
class JobFailedError extends Error {
  readonly code: string;
  constructor({ code, detail }: { readonly code: string; readonly detail: string }) {
    super(detail);
    this.code = code;
  }
}

/** @throws UnsupportedOutputError if the client accepts no format of the output */
function negotiate(request: Request, output: Output): Format {
  const formats = formatsOf(output);
  const accepted = acceptedFormat(request, formats);
  if (accepted) return accepted;
  const types = formats.map((format) => FORMATS[format].type).join(' or ');
  throw new UnsupportedOutputError(`${output} are sent as ${types}`);
}
