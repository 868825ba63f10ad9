import { z } from 'zod';
import { EXAMPLE_JOB } from '../examples.js';
import { ZARR_OUTPUTS } from '../outputs.js';
import { jobParametersSchema, listParametersSchema, resultParametersSchema } from '../queries.js';
import { jobEventSchema, jobListSchema, jobSchema } from '../schemas/job.js';
import { OF_BODIES, OF_IMAGES, OF_MODELS } from './errors.js';
import type { Contents, Operation } from './operation.js';
import { cachingHeader, IMAGE_OR_JSON, OF_CREATED, RESULT } from './segment.js';

const path = z.object({ id: z.string().describe('of the job') });
const job = { 'application/json': { schema: jobSchema, example: EXAMPLE_JOB } } as const satisfies Contents;
const OF_JOB = ['not-found', 'unreadable-record'] as const;

/** What a request for a result, which may be derived from its mask, can fail with. */
const OF_RESULT = [
  ...OF_JOB,
  'not-ready',
  'unsupported-output',
  'bad-range',
  'busy',
  'corrupt-image',
  'unsupported-image',
  'source-unreachable',
  'disk-full',
  'cancelled',
  'unknown-model',
  'bad-checkpoint',
  'image-too-large',
  'too-little-memory',
] as const;

/** Headers of requests for a part of a file, or for one that may be there already. */
const rangeHeaders = z.object({
  range: z.string().max(1000).optional().describe('such as `bytes=0-999`'),
  'if-range': z.string().max(200).optional().describe('the `ETag` of the part that is continued'),
  'if-none-match': z.string().max(2000).optional().describe('the `ETag` of what the client has'),
});

/** A file of an OME-Zarr: a document, or a shard. */
const ZARR_FILE = {
  'application/json': { schema: z.looseObject({ zarr_format: z.number() }).describe('a document of Zarr') },
  'application/octet-stream': { schema: 'bytes' },
} as const satisfies Contents;

export const JOBS = {
  createJob: {
    method: 'post',
    path: '/v1/jobs',
    scope: 'segment',
    tag: 'Jobs',
    summary: 'Create a job',
    description:
      'The image is the body, or where the JSON body says. `POST` with the `Idempotency-Key` of an earlier request ' +
      'returns the job that that one created.',
    parameters: {
      query: jobParametersSchema,
      header: z.object({
        'idempotency-key': z.string().max(255).optional().describe('any text; the same one for the same job'),
        ...cachingHeader,
      }),
    },
    body: IMAGE_OR_JSON,
    isBodyRequired: true,
    responses: {
      202: {
        description: 'The job.',
        content: job,
        headers: ['Location', 'Cache-Status', 'Idempotent-Replayed'],
        links: OF_CREATED,
      },
    },
    errors: ['unsupported-output', 'conflict', 'not-ready', ...OF_MODELS, ...OF_BODIES, ...OF_IMAGES],
  },
  listJobs: {
    method: 'get',
    path: '/v1/jobs',
    scope: 'read',
    tag: 'Jobs',
    summary: 'List the jobs, the newest first',
    description: 'Pages neither repeat nor skip a job, whatever is added or removed in between.',
    parameters: { query: listParametersSchema },
    responses: {
      200: {
        description: 'A page of the list.',
        content: {
          'application/json': {
            schema: jobListSchema,
            example: { jobs: [EXAMPLE_JOB], next: null, total: 1, unreadable: [] },
          },
        },
      },
    },
    errors: ['not-found'],
  },
  getJob: {
    method: 'get',
    path: '/v1/jobs/{id}',
    scope: 'read',
    tag: 'Jobs',
    summary: 'Get a job',
    parameters: { path },
    responses: { 200: { description: 'The job.', content: job } },
    errors: OF_JOB,
  },
  deleteJob: {
    method: 'delete',
    path: '/v1/jobs/{id}',
    scope: 'segment',
    tag: 'Jobs',
    summary: 'Cancel a job, or remove one that has ended',
    parameters: { path },
    responses: {
      200: { description: 'The job, which is cancelled.', content: job },
      204: { description: 'The job had ended, and is removed with all of its files.' },
    },
    errors: ['not-found'],
  },
  resumeJob: {
    method: 'post',
    path: '/v1/jobs/{id}/resume',
    scope: 'segment',
    tag: 'Jobs',
    summary: 'Resume a paused job',
    parameters: { path },
    responses: { 200: { description: 'The job, which is queued.', content: job } },
    errors: [...OF_JOB, 'conflict'],
  },
  followJob: {
    method: 'get',
    path: '/v1/jobs/{id}/events',
    scope: 'read',
    tag: 'Jobs',
    summary: 'Follow a job by Server-Sent Events',
    description:
      'An event `state` has the job, as `GET /v1/jobs/{id}`; an event `progress` has its members `progress`, ' +
      '`pixelsPerSecond`, `secondsLeft` and `retry`. The stream ends with the job.',
    parameters: {
      path,
      header: z.object({
        'last-event-id': z.string().max(20).optional().describe('of the last event that was received'),
      }),
    },
    responses: {
      200: {
        description: 'The events.',
        content: {
          'text/event-stream': {
            schema: jobEventSchema,
            example: { id: '2', event: 'progress', data: '{"progress":null,"secondsLeft":null}' },
          },
        },
      },
      204: { description: 'The job has ended, and all of its events were received.' },
    },
    errors: OF_JOB,
  },
  getResult: {
    method: 'get',
    path: '/v1/jobs/{id}/result',
    scope: 'read',
    tag: 'Jobs',
    summary: 'Get a result of a job',
    description:
      'A result that was not requested with the job is derived from its mask; probabilities cannot be.',
    parameters: {
      path,
      query: resultParametersSchema,
      header: rangeHeaders,
    },
    responses: {
      200: { description: 'The result.', content: RESULT, headers: ['ETag'] },
      206: {
        description: 'The part that `Range` requests.',
        content: RESULT,
        headers: ['ETag', 'Content-Range'],
      },
      304: { description: 'The client has it already.', headers: ['ETag'] },
    },
    errors: OF_RESULT,
  },
  getZarrFile: {
    method: 'get',
    path: '/v1/jobs/{id}/{store}/{key}',
    isDeep: true,
    scope: 'read',
    tag: 'Jobs',
    summary: 'Get a file of a result as OME-Zarr',
    description:
      'Programs that read OME-Zarr by URL open `/v1/jobs/{id}/labels.zarr`. A chunk that is missing has zeros alone.',
    parameters: {
      path: z.object({
        id: path.shape.id,
        store: z
          .string()
          .regex(new RegExp(`^(${ZARR_OUTPUTS.join('|')})\\.zarr$`))
          .describe('the result')
          .meta({ example: 'labels.zarr' }),
        key: z
          .string()
          .regex(/^[\w.-]+(\/[\w.-]+)*$/)
          .max(200)
          .describe('the path of the file in it, whose names are segments of the path')
          .meta({ example: 'zarr.json' }),
      }),
      header: rangeHeaders,
    },
    responses: {
      200: { description: 'The file.', content: ZARR_FILE, headers: ['ETag'] },
      206: {
        description: 'The part that `Range` requests.',
        content: ZARR_FILE,
        headers: ['ETag', 'Content-Range'],
      },
      304: { description: 'The client has it already.', headers: ['ETag'] },
    },
    errors: OF_RESULT,
  },
  getPreview: {
    method: 'get',
    path: '/v1/jobs/{id}/preview',
    scope: 'read',
    tag: 'Jobs',
    summary: 'Get the mask of a running job, as far as it is',
    parameters: { path },
    responses: {
      200: { description: 'A small picture of the mask.', content: { 'image/png': { schema: 'bytes' } } },
    },
    errors: [...OF_JOB, 'not-ready', 'engine-lost'],
  },
} as const satisfies Record<string, Operation>;
