import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Request, RequestHandler, Response } from 'express';
import { z } from 'zod';
import { UnsupportedOutputError } from '../../tiling/errors.js';
import { parseTileChoice } from '../../tiling/plan.js';
import { RequestError } from '../errors.js';
import type { JobRunner } from '../job-runner.js';
import type { ModelShelf } from '../models.js';
import { checkOutput, defaultFormat, FORMATS, type Format, OUTPUTS, type Output } from '../outputs.js';
import type { Receipt } from '../receipt.js';
import { STAGES } from '../segment.js';
import { onSilence, receiveImage, type UploadLimits } from './upload.js';

const query = z.strictObject({
  model: z.string().optional(),
  output: z.enum(OUTPUTS).default('labels'),
  tile: z.string().default('auto'),
  tta: z.enum(['0', '1']).default('0'),
});

/** `POST /v1/segment`: an image in, its mask out. */
export function segmentRoute(
  jobs: JobRunner,
  shelf: ModelShelf,
  scratchDir: string,
  limits: UploadLimits,
): RequestHandler {
  return async (request, response) => {
    const { model, output, tile, tta } = parseQuery(request);
    const choice = parseTileChoice(tile);
    const format = negotiate(request, output);
    checkOutput(output, format);
    await shelf.find(model); // an hour of upload should not end in a name that is wrong

    const left = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) left.abort(new RequestError('cancelled', 'the client left'));
    });
    const id = randomUUID();
    const release = jobs.admit();
    // All that a job leaves on disk is in a folder of its own: a worker that dies cannot clear up.
    const dir = join(scratchDir, id);
    const [input, result] = [join(dir, 'upload'), join(dir, 'result')];
    try {
      await mkdir(dir);
      const uploading = performance.now();
      await receiveImage(request, input, limits);
      const uploadMs = Math.round((performance.now() - uploading) * 10) / 10;
      jobs.observe('upload', uploadMs);
      const receipt = await jobs.run(
        { id, input, scratchDir: dir, result, model, output, format, tile: choice, symmetries: tta === '1' },
        left.signal,
      );
      const told = { ...receipt, stagesMs: { upload: uploadMs, ...receipt.stagesMs } };
      await send(request, response, result, told, limits, left.signal);
    } finally {
      release();
      await rm(dir, { recursive: true, force: true });
    }
  };
}

function parseQuery(request: Request) {
  const parsed = query.safeParse(request.query);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue!.path.join('.');
  throw new RequestError(
    'bad-request',
    where === '' ? issue!.message : `parameter "${where}": ${issue!.message}`,
  );
}

/** The format that the client accepts best; its own default where it does not care. */
function negotiate(request: Request, output: Output): Format {
  const preferred = defaultFormat(output);
  const formats = [preferred, ...(Object.keys(FORMATS) as Format[]).filter((format) => format !== preferred)];
  const accepted = request.accepts(formats.map((format) => FORMATS[format]));
  const format = formats.find((candidate) => FORMATS[candidate] === accepted);
  if (!format) throw new UnsupportedOutputError(`results are ${Object.values(FORMATS).join(' or ')}`);
  return format;
}

async function send(
  request: Request,
  response: Response,
  result: string,
  receipt: Receipt,
  limits: UploadLimits,
  left: AbortSignal,
): Promise<void> {
  const { size } = await stat(result);
  const timings = STAGES.flatMap((stage) => {
    const ms = receipt.stagesMs[stage];
    return ms === undefined ? [] : [`${stage};dur=${ms.toFixed(1)}`];
  });
  response.status(200).set({
    'Content-Type': FORMATS[receipt.output.format as Format],
    'Content-Length': String(size),
    'Server-Timing': timings.join(', '),
    'Unseam-Model': `${receipt.model.name}/${receipt.model.version}`,
    'Unseam-Exact': String(receipt.exact),
    'Unseam-Receipt': asciiJson(receipt),
  });
  const release = onSilence(request.socket, limits.idleTimeoutMs, () => request.socket.destroy());
  try {
    let sent = 0;
    for await (const chunk of createReadStream(result)) {
      sent += (chunk as Buffer).length;
      // The end goes with the last bytes: a client that has them may leave before a later end.
      if (sent === size) response.end(chunk);
      else if (!response.write(chunk)) await once(response, 'drain', { signal: left });
    }
    await finished(response);
  } catch (error) {
    if (!left.aborted) throw error; // otherwise the client left, or stopped reading
  } finally {
    release();
  }
}

/** JSON that a header can carry. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
