import { z } from 'zod';
import {
  EXTENSIONS,
  inferenceModelListSchema,
  inferenceModelSchema,
  inferenceServerSchema,
  inferRequestSchema,
  inferResponseSchema,
} from '../schemas/inference.js';
import { integer } from '../schemas/notation.js';
import { OF_BODIES, OF_ENGINES, OF_IMAGES, OF_MODELS } from './errors.js';
import type { Contents, Operation } from './operation.js';

const name = z.string().describe('of the model');
const version = z.string().describe('of the model');
const byName = z.object({ name });
const byVersion = z.object({ name, version });

const EXAMPLE = {
  name: 'shapes',
  versions: ['1'],
  platform: 'unseam',
  inputs: [{ name: 'image', datatype: 'UINT8', shape: [1, -1, -1, 1] }],
  outputs: [
    { name: 'labels', datatype: 'UINT8', shape: [1, -1, -1] },
    { name: 'probabilities', datatype: 'FP32', shape: [1, -1, -1, 2] },
  ],
};
const metadata = {
  'application/json': { schema: inferenceModelSchema, example: EXAMPLE },
} as const satisfies Contents;
const ready = {
  'application/json': {
    schema: z.object({ name: z.string(), ready: z.boolean() }),
    example: { name: 'shapes', ready: true },
  },
} as const satisfies Contents;

const getModel = { method: 'get', scope: 'read', tag: 'Inference', errors: OF_MODELS } as const;
const inference = {
  method: 'post',
  scope: 'segment',
  tag: 'Inference',
  description:
    'The image is one tensor; its values are in the JSON, or follow it as bytes, little-endian. They are the values ' +
    'of an image file that is segmented with the same parameters, and so is the mask, bit for bit. Images of more px ' +
    'than `--sync-pixels` are refused: send them to `POST /v1/jobs`.',
  body: {
    'application/json': {
      schema: inferRequestSchema,
      example: {
        inputs: [{ name: 'image', datatype: 'UINT8', shape: [1, 2, 2, 1], data: [0, 255, 255, 0] }],
        outputs: [{ name: 'labels' }],
      },
    },
    'application/octet-stream': { schema: 'bytes' },
  },
  isBodyRequired: true,
  responses: {
    200: {
      description: 'The outputs. Where they are binary, they follow the JSON.',
      content: {
        'application/json': {
          schema: inferResponseSchema,
          example: {
            model_name: 'shapes',
            model_version: '1',
            outputs: [{ name: 'labels', datatype: 'UINT8', shape: [1, 2, 2], data: [0, 1, 1, 0] }],
          },
        },
        'application/octet-stream': { schema: 'bytes' },
      },
      headers: [
        'Inference-Header-Content-Length',
        'Cache-Status',
        'Server-Timing',
        'Unseam-Model',
        'Unseam-Exact',
        'Unseam-Receipt',
      ],
    },
  },
  errors: [...OF_MODELS, ...OF_BODIES, ...OF_IMAGES, ...OF_ENGINES],
} as const;
const header = z.object({
  'inference-header-content-length': integer(1, 65_536)
    .optional()
    .describe('bytes of the JSON, where binary values follow it'),
  'cache-control': z
    .string()
    .max(1000)
    .optional()
    .describe(
      '`no-cache` computes, whatever was computed before; `no-store` gives its results to no other request',
    ),
});

export const INFERENCE = {
  getInferenceServer: {
    method: 'get',
    path: '/v2',
    scope: 'read',
    tag: 'Inference',
    summary: 'Get the server, as the Open Inference Protocol describes it',
    responses: {
      200: {
        description: 'The server.',
        content: {
          'application/json': {
            schema: inferenceServerSchema,
            example: { name: 'unseam', version: '0.1.0', extensions: EXTENSIONS },
          },
        },
      },
    },
    errors: [],
  },
  isInferenceLive: {
    method: 'get',
    path: '/v2/health/live',
    scope: null,
    tag: 'Inference',
    summary: 'Whether the server lives',
    responses: {
      200: {
        description: 'It does.',
        content: { 'application/json': { schema: z.object({ live: z.boolean() }), example: { live: true } } },
      },
    },
    errors: [],
  },
  isInferenceReady: {
    method: 'get',
    path: '/v2/health/ready',
    scope: null,
    tag: 'Inference',
    summary: 'Whether the server accepts work',
    responses: {
      200: {
        description: 'It does.',
        content: {
          'application/json': { schema: z.object({ ready: z.boolean() }), example: { ready: true } },
        },
      },
      503: {
        description: 'It does not.',
        content: {
          'application/json': { schema: z.object({ ready: z.boolean() }), example: { ready: false } },
        },
      },
    },
    errors: [],
  },
  listInferenceModels: {
    method: 'get',
    path: '/v2/models',
    scope: 'read',
    tag: 'Inference',
    summary: 'List the models by their metadata',
    responses: {
      200: {
        description: 'The models.',
        content: { 'application/json': { schema: inferenceModelListSchema, example: { models: [EXAMPLE] } } },
      },
    },
    errors: [],
  },
  indexInferenceModels: {
    method: 'post',
    path: '/v2/repository/index',
    scope: 'read',
    changesState: false,
    tag: 'Inference',
    summary: 'List the models with their states',
    description: 'As the extension `model_repository` has it.',
    responses: {
      200: {
        description: 'The models.',
        content: {
          'application/json': {
            schema: z.array(
              z.object({ name: z.string(), version: z.string(), state: z.string(), reason: z.string() }),
            ),
            example: [{ name: 'shapes', version: '1', state: 'READY', reason: '' }],
          },
        },
      },
    },
    errors: [],
  },
  getInferenceModel: {
    ...getModel,
    path: '/v2/models/{name}',
    summary: 'Get the metadata of a model',
    description:
      'The input may also be `UINT16` or `FP32`, and have 1 or 3 channels, which are converted, or those of the model.',
    parameters: { path: byName },
    responses: { 200: { description: 'Its latest version.', content: metadata } },
  },
  getInferenceModelVersion: {
    ...getModel,
    path: '/v2/models/{name}/versions/{version}',
    summary: 'Get the metadata of a version of a model',
    parameters: { path: byVersion },
    responses: { 200: { description: 'The version.', content: metadata } },
  },
  isInferenceModelReady: {
    ...getModel,
    path: '/v2/models/{name}/ready',
    summary: 'Whether a model can be used',
    parameters: { path: byName },
    responses: { 200: { description: 'It can.', content: ready } },
  },
  isInferenceModelVersionReady: {
    ...getModel,
    path: '/v2/models/{name}/versions/{version}/ready',
    summary: 'Whether a version of a model can be used',
    parameters: { path: byVersion },
    responses: { 200: { description: 'It can.', content: ready } },
  },
  infer: {
    ...inference,
    path: '/v2/models/{name}/infer',
    summary: 'Segment an image that is a tensor',
    parameters: { path: byName, header },
  },
  inferVersion: {
    ...inference,
    path: '/v2/models/{name}/versions/{version}/infer',
    summary: 'Segment an image that is a tensor, with a version of a model',
    parameters: { path: byVersion, header },
  },
} as const satisfies Record<string, Operation>;
