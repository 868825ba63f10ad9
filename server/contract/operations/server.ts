import { z } from 'zod';
import { limitsSchema } from '../schemas/limits.js';
import type { Contents, Operation } from './operation.js';

const text = { 'text/plain': { schema: 'text', example: 'ok\n' } } as const satisfies Contents;

export const SERVER = {
  isLive: {
    method: 'get',
    path: '/livez',
    scope: null,
    tag: 'Server',
    summary: 'Whether the server lives',
    responses: { 200: { description: 'It does.', content: text } },
    errors: [],
  },
  isReady: {
    method: 'get',
    path: '/readyz',
    scope: null,
    tag: 'Server',
    summary: 'Whether the server accepts work',
    description: 'The lines after the first say what computes, and what a person should know of it.',
    responses: {
      200: { description: 'It does.', content: text },
      503: {
        description: 'It does not: the first line says why.',
        content: { 'text/plain': { schema: 'text', example: 'draining\n' } },
      },
    },
    errors: [],
  },
  getMetrics: {
    method: 'get',
    path: '/metrics',
    scope: 'read',
    tag: 'Server',
    summary: 'Get the metrics, for Prometheus',
    responses: {
      200: {
        description: 'The metrics, in the text format of Prometheus.',
        content: {
          'text/plain': { schema: 'text', example: 'unseam_jobs{state="running"} 1\n' },
          'application/openmetrics-text': { schema: 'text' },
        },
      },
    },
    errors: [],
  },
  getLimits: {
    method: 'get',
    path: '/v1/limits',
    scope: 'read',
    tag: 'Server',
    summary: 'List the limits, and how much of them is in use',
    responses: {
      200: {
        description: 'The limits.',
        content: {
          'application/json': {
            schema: limitsSchema,
            example: {
              limits: [
                {
                  name: 'jobs',
                  what: 'jobs that are pending, running or being uploaded',
                  per: 'server',
                  unit: 'jobs',
                  value: 64,
                  used: 2,
                  code: 'busy',
                  status: 429,
                  setting: '--queue',
                },
              ],
            },
          },
        },
      },
    },
    errors: [],
  },
  getContract: {
    method: 'get',
    path: '/openapi.json',
    scope: null,
    tag: 'Server',
    summary: 'Get this contract',
    responses: {
      200: {
        description: 'An OpenAPI 3.1 document.',
        content: { 'application/json': { schema: z.looseObject({ openapi: z.string() }) } },
      },
    },
    errors: [],
  },
  getDocs: {
    method: 'get',
    path: '/docs',
    scope: null,
    tag: 'Server',
    summary: 'Read this contract, in a browser',
    responses: { 200: { description: 'A page.', content: { 'text/html': { schema: 'text' } } } },
    errors: [],
  },
} as const satisfies Record<string, Operation>;

/** The page, and what it loads. */
export const PAGE = {
  getPage: {
    method: 'get',
    path: '/',
    scope: null,
    tag: 'Page',
    summary: 'Get the page',
    responses: { 200: { description: 'The page.', content: { 'text/html': { schema: 'text' } } } },
    errors: [],
  },
  getIcon: {
    method: 'get',
    path: '/favicon.ico',
    scope: null,
    tag: 'Page',
    summary: 'Get the icon of the page',
    responses: { 200: { description: 'The icon.', content: { 'image/svg+xml': { schema: 'text' } } } },
    errors: [],
  },
  getAsset: {
    method: 'get',
    path: '/web/{file}',
    scope: null,
    tag: 'Page',
    summary: 'Get a file of the page',
    parameters: { path: z.object({ file: z.string().describe('its name') }) },
    responses: {
      200: {
        description: 'The file.',
        content: {
          'text/css': { schema: 'text' },
          'text/javascript': { schema: 'text' },
          'image/svg+xml': { schema: 'text' },
          'text/html': { schema: 'text' },
          'application/json': { schema: z.looseObject({}) },
        },
      },
    },
    errors: ['not-found'],
  },
  getClient: {
    method: 'get',
    path: '/client/{file}',
    scope: null,
    tag: 'Page',
    summary: 'Get a file of the client, which the page loads',
    parameters: { path: z.object({ file: z.string().describe('its name') }) },
    responses: {
      200: {
        description: 'The file.',
        content: { 'text/javascript': { schema: 'text' } },
      },
    },
    errors: ['not-found'],
  },
} as const satisfies Record<string, Operation>;
