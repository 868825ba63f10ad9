import type { Request, RequestHandler } from 'express';
import { UnsupportedOutputError } from '../../../tiling/errors.js';
import { RequestError } from '../../contract/errors.js';
import {
  checkOutput,
  FORMATS,
  type Format,
  formatsOf,
  type Output,
  parseOutput,
} from '../../contract/outputs.js';
import { STAGES } from '../../contract/stages.js';
import type { JobRequest, RecordedReceipt } from '../../jobs/job.js';
import type { NewJob } from '../../jobs/new-job.js';
import { jobView } from '../../jobs/view.js';
import { type Intake, jobRequest, parseRequest, type TakenImage, takeImage } from '../intake.js';
import { sendFile } from '../send.js';
import { accept, outputsOf } from './jobs.js';

/**
 * `POST /v1/segment`: an image in, its mask out. It is a job that the request waits for, and that ends
 * with it, or when `ended` aborts. An image of more than `syncPixels`, or a request that prefers so, is answered with its job.
 */
export function segmentRoute(intake: Intake, syncPixels: number, ended: AbortSignal): RequestHandler {
  const { jobs, idleTimeoutMs } = intake;
  return async (request, response) => {
    const parameters = parseRequest(request.query);
    const output = parseOutput(parameters.output ?? 'labels');
    const format = negotiate(request, output);
    checkOutput(output, format);
    const preferred = /\brespond-async\b/.test(request.get('Prefer') ?? '');
    const left = new AbortController();
    const stop = () => left.abort(ended.reason);
    ended.addEventListener('abort', stop);
    response.once('close', () => {
      ended.removeEventListener('abort', stop);
      if (!response.writableFinished) left.abort(new RequestError('cancelled', 'the client left'));
    });
    const work = await jobRequest(intake, parameters, [{ output, format }]);
    const decide = (taken: TakenImage): NewJob => {
      const { width, height } = taken.facts.image;
      const awaited = !preferred && width * height <= syncPixels;
      const outputs: JobRequest['outputs'] = outputsOf({ ...parameters, output: `${output}:${format}` });
      return {
        ...taken,
        request: awaited ? work : { ...work, outputs },
        priority: parameters.priority ?? (awaited ? 'interactive' : 'normal'),
        idempotency: null,
        awaited,
      };
    };
    await takeImage(intake, request, work, decide, async ({ id }, uploadMs) => {
      if (!jobs.isAwaited(id)) {
        if (preferred) response.set('Preference-Applied', 'respond-async');
        accept(response, jobView(jobs.get(id), jobs.live(id)));
        return;
      }
      left.signal.addEventListener('abort', () => void jobs.cancel(id).catch(() => undefined));
      try {
        if (left.signal.aborted) await jobs.cancel(id);
        const { receipt, error } = await jobs.wait(id);
        if (!receipt)
          throw error
            ? new JobFailed(error)
            : (left.signal.reason ?? new RequestError('cancelled', 'the job was cancelled'));
        const told = { ...receipt, stagesMs: { upload: uploadMs, ...receipt.stagesMs } };
        response.status(200).set(headersOf(told));
        const path = jobs.results.path(id, output, format);
        const type = FORMATS[format].type;
        await sendFile(request, response, path, { type, etag: null, idleTimeoutMs });
      } finally {
        await jobs.remove(id);
      }
    });
  };
}

/** What a job ended with, as the error of the request that waited for it. */
class JobFailed extends Error {
  readonly code: string;
  constructor({ code, detail }: { readonly code: string; readonly detail: string }) {
    super(detail);
    this.code = code;
  }
}

/** The format that the client accepts best; the output's own default where it does not care. */
function negotiate(request: Request, output: Output): Format {
  const formats = formatsOf(output);
  const accepted = request.accepts(formats.map((format) => FORMATS[format].type));
  const format = formats.find((candidate) => FORMATS[candidate].type === accepted);
  if (format) return format;
  const types = formats.map((known) => FORMATS[known].type).join(' or ');
  throw new UnsupportedOutputError(`${output} are sent as ${types}`);
}

function headersOf(receipt: RecordedReceipt): Record<string, string> {
  const timings = STAGES.flatMap((stage) => {
    const ms = receipt.stagesMs[stage];
    return ms === undefined ? [] : [`${stage};dur=${ms.toFixed(1)}`];
  });
  return {
    'Server-Timing': timings.join(', '),
    'Unseam-Model': `${receipt.model.name}/${receipt.model.version}`,
    'Unseam-Exact': String(receipt.exact),
    'Unseam-Receipt': asciiJson(receipt),
  };
}

/** JSON that a header can carry. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
