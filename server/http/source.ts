import express, { type Request, type RequestHandler } from 'express';
import { z } from 'zod';
import { RequestError } from '../contract/errors.js';
import { parseParameters } from '../contract/parameters.js';
import { codeOf } from '../contract/problems.js';
import type { JobSource } from '../jobs/job.js';
import type { Intake } from './intake.js';
import { slidePath } from './slide-path.js';
import type { CompleteUpload, Uploads } from './uploads.js';

export interface JobRoutes extends Intake {
  readonly uploads: Uploads;
}

const text = (most: number) => z.string().min(1).max(most);
const sourceSchema = z.union(
  [
    z.strictObject({ path: text(1000).refine((path) => !path.includes('\0')) }),
    z.strictObject({ url: text(2000).pipe(z.url({ protocol: /^https?$/ })) }),
    z.strictObject({ upload: text(200) }),
  ],
  {
    error:
      'it is {"path": a file below the folder of slides}, {"url": a TIFF of an allowed host} or {"upload": its address}',
  },
);
export type GivenSource = z.output<typeof sourceSchema>;
const bodySchema = z.looseObject({ source: sourceSchema });

const MAX_JSON = 64 * 1024;

/** Reads a JSON body. One that says that it is too long is refused by its head; express would read it first. */
export function jsonBody(): RequestHandler {
  const read = express.json({ limit: MAX_JSON, inflate: false });
  return (request, response, next) => {
    const length = Number(request.headers['content-length'] ?? 0);
    if (length > MAX_JSON && request.is('application/json')) {
      throw new RequestError('too-large', `the JSON body has ${length} bytes; ${MAX_JSON} bytes are read`);
    }
    read(request, response, next);
  };
}

/**
 * A request's JSON body, of which `source` says where the image is and the rest are parameters; a body that
 * is the image itself has neither.
 */
export function parseBody(request: Request): { source: GivenSource | null; [parameter: string]: unknown } {
  if (!request.is('application/json')) return { source: null };
  const { source } = parseParameters(bodySchema, request.body);
  const given = Object.entries(request.body as object).filter(([name]) => name !== 'source');
  return { source, ...Object.fromEntries(given.map(([name, value]) => [name, asText(value)])) };
}

/** JSON's numbers, lists of them and truths as a query would say them; what is neither stays, to be refused. */
function asText(value: unknown): unknown {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? '1' : '0';
  const listed = Array.isArray(value) && value.every((item) => typeof item !== 'object');
  return listed ? value.join(',') : value;
}

interface Located {
  readonly source: JobSource;
  readonly upload: CompleteUpload | null;
}

/** Finds an image that lies elsewhere, or an upload that is complete. */
export async function locate({ slides, uploads }: JobRoutes, given: GivenSource): Promise<Located> {
  if ('path' in given)
    return {
      source: { kind: 'path', path: await slidePath(slides, given.path), name: given.path },
      upload: null,
    };
  if ('url' in given) return { source: { kind: 'url', url: given.url }, upload: null };
  const upload = await uploads.find(given.upload);
  return { source: { kind: 'upload', name: upload.name, bytes: upload.bytes }, upload };
}

/**
 * Does something with an image that was found.
 * @throws RequestError `not-found` where that fails because the upload has gone meanwhile, to another job or for good
 */
export async function whileThere<Result>(
  { uploads }: JobRoutes,
  { upload }: Located,
  work: () => Promise<Result>,
): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (upload && codeOf(error) === 'internal') await uploads.find(upload.id); // a missing file is not foreseen
    throw error;
  }
}
