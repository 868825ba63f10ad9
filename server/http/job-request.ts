import express, { type Request, type RequestHandler } from 'express';
import { isStack, type PlaneChoice } from '../../tiling/planes.js';
import type { Principal } from '../access/principal.js';
import { RequestError } from '../contract/errors.js';
import { jobBodySchema, type RequestedSource } from '../contract/job-source.js';
import {
  checkOutput,
  type Format,
  formatsOf,
  type Output,
  outputKindOf,
  parseOutput,
  stackFormatsOf,
} from '../contract/outputs.js';
import { parseParameters, workOf } from '../contract/parameters.js';
import { type JobParameters, jobParametersSchema } from '../contract/queries.js';
import type { JobRequest } from '../jobs/job.js';
import type { RouteDependencies } from './dependencies.js';

export const MAX_JSON_BYTES = 64 * 1024;

/** Reads a JSON body. One that announces too many bytes is refused before express reads them. */
export function jsonBody(): RequestHandler {
  const read = express.json({ limit: MAX_JSON_BYTES, inflate: false });
  return (request, response, next) => {
    const length = Number(request.headers['content-length'] ?? 0);
    if (length > MAX_JSON_BYTES && request.is('application/json')) {
      throw new RequestError(
        'too-large',
        `the JSON body has ${length} bytes; the limit is ${MAX_JSON_BYTES}`,
      );
    }
    read(request, response, next);
  };
}

/**
 * Parses the parameters of a query, and of a body that `jsonBody` has read.
 * @returns source null where the body is the image itself
 * @throws RequestError `bad-request`, with the name of the parameter
 */
export function parseJobRequest(request: Request): {
  readonly source: RequestedSource | null;
  readonly parameters: JobParameters;
} {
  if (!request.is('application/json')) return { source: null, parameters: parseJobParameters(request.query) };
  const { source } = parseParameters(jobBodySchema, request.body);
  // The body's own entries: a schema drops `__proto__`, which is to be refused like any unknown name.
  const given = Object.entries<unknown>(request.body)
    .filter(([name]) => name !== 'source')
    .map(([name, value]) => [name, asText(value)]);
  return { source, parameters: parseJobParameters({ ...request.query, ...Object.fromEntries(given) }) };
}

/** @throws RequestError `bad-request`, with the name of the parameter */
export const parseJobParameters = (given: unknown): JobParameters =>
  parseParameters(jobParametersSchema, given);

/** Parameters in JSON, as a query has them. */
export const asTexts = (given: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(given).map(([name, value]) => [name, asText(value)]));

/** JSON's numbers, booleans and lists of them as a query writes them; anything else stays, to be refused. */
function asText(value: unknown): unknown {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? '1' : '0';
  const listed = Array.isArray(value) && value.every((item) => typeof item !== 'object');
  return listed ? value.join(',') : value;
}

/**
 * Parses `OUTPUT` or `OUTPUT:FORMAT`.
 * @param choice of the image's planes: a stack has fewer outputs and formats
 * @returns format undefined where none is named
 * @throws RequestError `bad-request` for an unknown output
 * @throws UnsupportedOutputError for a format that the output is not written in
 */
export function parseResult(
  text: string,
  choice: PlaneChoice,
): { readonly output: Output; readonly format: Format | undefined } {
  const [name, format] = text.split(':') as [string, Format?];
  const output = parseOutput(name);
  if (format !== undefined) checkOutput(output, format, isStack(choice));
  return { output, format };
}

/** The formats that an output of an image, or of a stack, is written in, its default first. */
export const formatsFor = (output: Output, choice: PlaneChoice): readonly [Format, ...Format[]] =>
  isStack(choice) ? stackFormatsOf(output) : formatsOf(output);

/**
 * The results that a job writes: `output` lists them, each as `OUTPUT` or `OUTPUT:FORMAT`. Labels as a pyramidal
 * TIFF are always among them, unless only probabilities are requested: all other outputs derive from labels.
 */
export function requestedOutputs({ output = 'labels', ...choice }: JobParameters): JobRequest['outputs'] {
  const outputs = output.split(',').map((item) => {
    const { output, format } = parseResult(item, choice);
    const formats = formatsFor(output, choice);
    return { output, format: format ?? (formats.includes('tiff') ? 'tiff' : formats[0]) };
  });
  if (outputKindOf(outputs) !== 'probabilities') outputs.unshift({ output: 'labels', format: 'tiff' });
  const seen = new Set<string>();
  return outputs.filter(({ output, format }) => {
    const key = `${output}:${format}`;
    return !seen.has(key) && seen.add(key);
  });
}

/**
 * Resolves the names in a request: the model to the version that is the newest now, so that a later one does not
 * change the job, and a tissue mask to its file. Routes do this before they receive an image: an upload of an hour
 * should not end at a misspelt name.
 */
export async function resolveJobRequest(
  { shelf, slides }: Pick<RouteDependencies, 'shelf' | 'slides'>,
  parameters: JobParameters,
  outputs: JobRequest['outputs'],
  caller: Principal,
): Promise<JobRequest> {
  const { name, version } = await shelf.find(parameters.model);
  const { background, ...work } = workOf(parameters);
  const isMask = typeof background === 'object' && background !== null;
  return {
    ...work,
    background: isMask ? { mask: await slides.locate(background.mask, caller) } : background,
    model: `${name}/${version}`,
    outputs,
    simplify: parameters.simplify,
  };
}
