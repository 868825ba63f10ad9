import { z } from 'zod';
import { EXAMPLE_JOB, EXAMPLE_PLAN } from '../examples.js';
import { FORMATS } from '../outputs.js';
import { jobParametersSchema, jobRequestSchema, segmentParametersSchema } from '../queries.js';
import { jobSchema } from '../schemas/job.js';
import { planSchema } from '../schemas/plan.js';
import { objectsSchema, regionsSchema } from '../schemas/results.js';
import { OF_BODIES, OF_ENGINES, OF_IMAGES, OF_MODELS } from './errors.js';
import type { Contents, Operation, OperationResponse } from './operation.js';

/** A form with a file. */
const formSchema = z.object({ image: z.file().describe('the image') });

/** An image that is sent with its request: the body itself, or the field `image` of a form. */
export const IMAGE = {
  'application/octet-stream': { schema: 'bytes' },
  'image/*': { schema: 'bytes' },
  'multipart/form-data': { schema: formSchema },
} as const satisfies Contents;

/** An image that is sent, or the place of one, with the parameters of a job. */
export const IMAGE_OR_JSON = {
  'application/json': {
    schema: jobRequestSchema,
    example: { source: { path: '2026/slide.ndpi' }, model: 'em-membrane', output: ['labels', 'geojson'] },
  },
  ...IMAGE,
} as const satisfies Contents;

/** Headers of requests that may get earlier results. */
export const cachingHeader = {
  'cache-control': z
    .string()
    .max(1000)
    .optional()
    .describe(
      '`no-cache` computes, whatever was computed before; `no-store` gives its results to no other request',
    ),
};

/** A result, in any of its formats. */
export const RESULT: Contents = {
  ...Object.fromEntries(Object.values(FORMATS).map(({ type }) => [type, { schema: 'bytes' } as const])),
  [FORMATS.csv.type]: { schema: 'text', example: 'id,class,area_px\n1,object,250\n' },
  [FORMATS.json.type]: { schema: objectsSchema, example: [{ id: 1, class: 'object', area_px: 250 }] },
  [FORMATS.geojson.type]: {
    schema: regionsSchema,
    example: { type: 'FeatureCollection', features: [] },
  },
};

const ofJob = { id: '$response.body#/id' };
/** Links to the operations on a created job. */
export const OF_CREATED: NonNullable<OperationResponse['links']> = {
  getJob: ofJob,
  followJob: ofJob,
  getResult: ofJob,
  getPreview: ofJob,
  getImage: ofJob,
  getMask: ofJob,
  getImageTile: ofJob,
  getMaskTile: ofJob,
  resumeJob: ofJob,
  deleteJob: ofJob,
};

export const SEGMENT = {
  segment: {
    method: 'post',
    path: '/v1/segment',
    scope: 'segment',
    tag: 'Segment',
    summary: 'Segment an image, and wait for its mask',
    description:
      'The response is the result itself, in the format that `output` names, or else the one that `Accept` prefers. ' +
      'For images of more px than `--sync-pixels`, and with `Prefer: respond-async`, it is a job.',
    parameters: {
      query: segmentParametersSchema,
      header: z.object({
        prefer: z.string().max(1000).optional().describe('`respond-async` creates a job'),
        ...cachingHeader,
      }),
    },
    body: IMAGE,
    isBodyRequired: true,
    responses: {
      200: {
        description: 'The mask, of exactly the size of the image.',
        content: RESULT,
        headers: ['Cache-Status', 'Server-Timing', 'Unseam-Model', 'Unseam-Exact', 'Unseam-Receipt'],
      },
      202: {
        description: 'A job, since the image is large or `respond-async` was preferred.',
        content: { 'application/json': { schema: jobSchema, example: EXAMPLE_JOB } },
        headers: ['Location', 'Cache-Status', 'Preference-Applied'],
        links: OF_CREATED,
      },
    },
    errors: ['unsupported-output', ...OF_MODELS, ...OF_BODIES, ...OF_IMAGES, ...OF_ENGINES],
  },
  plan: {
    method: 'post',
    path: '/v1/plan',
    scope: 'segment',
    changesState: false,
    tag: 'Segment',
    summary: 'Plan a job, without running it',
    description:
      "Only the image's header is read; one that is read by path or URL is not copied. The time is that of one tile, " +
      'which is run, times their number.',
    parameters: { query: jobParametersSchema },
    body: IMAGE_OR_JSON,
    isBodyRequired: true,
    responses: {
      200: {
        description: 'The plan.',
        content: { 'application/json': { schema: planSchema, example: EXAMPLE_PLAN } },
      },
    },
    errors: ['unsupported-output', 'not-ready', ...OF_MODELS, ...OF_BODIES, ...OF_IMAGES, ...OF_ENGINES],
  },
} as const satisfies Record<string, Operation>;
