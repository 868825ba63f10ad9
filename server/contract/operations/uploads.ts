import { z } from 'zod';
import { integer } from '../schemas/notation.js';
import type { Contents, Operation } from './operation.js';

const path = z.object({ id: z.string().describe('of the upload') });
const version = {
  'tus-resumable': z.literal('1.0.0').describe('the version of the protocol'),
};
const bytes = integer(0, Number.MAX_SAFE_INTEGER);
const CHUNK = { 'application/offset+octet-stream': { schema: 'bytes' } } as const satisfies Contents;
const OF_TUS = ['wrong-protocol', 'not-found', 'conflict'] as const;
const OF_CHUNKS = ['stalled', 'too-large', 'busy', 'quota-exceeded', 'disk-full', 'cancelled'] as const;

/** A key of `Upload-Metadata`, as an expression: visible characters of ASCII but commas. */
export const METADATA_KEY = '[!-+\\--~]+';
/** Keys, each with an optional value in Base64. */
const PAIR = `${METADATA_KEY}( ([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?)?`;
const METADATA = new RegExp(`^${PAIR}(,${PAIR})*$`);

export const UPLOADS = {
  getUploadOptions: {
    method: 'options',
    path: '/v1/uploads',
    scope: 'segment',
    tag: 'Uploads',
    summary: 'Get what of the tus protocol is supported',
    responses: {
      204: {
        description: 'In headers.',
        headers: ['Tus-Resumable', 'Tus-Version', 'Tus-Extension', 'Tus-Max-Size'],
      },
    },
    errors: [],
  },
  createUpload: {
    method: 'post',
    path: '/v1/uploads',
    scope: 'segment',
    tag: 'Uploads',
    summary: 'Create a resumable upload',
    description: 'Disk space for its length is reserved. A body is the beginning of the upload.',
    parameters: {
      header: z.object({
        ...version,
        'upload-length': bytes.optional().describe('bytes of the whole upload'),
        'upload-defer-length': z.literal('1').optional().describe('for a length that is stated later'),
        'upload-metadata': z
          .string()
          .max(4000)
          .regex(METADATA)
          .optional()
          .describe('`filename` and its Base64, for example')
          .meta({ example: 'filename c2xpZGUudGlm' }),
      }),
    },
    body: CHUNK,
    responses: {
      201: {
        description: 'The upload.',
        headers: ['Location', 'Tus-Resumable', 'Upload-Offset', 'Upload-Expires'],
      },
    },
    errors: [...OF_TUS, ...OF_CHUNKS],
  },
  getUpload: {
    method: 'head',
    path: '/v1/uploads/{id}',
    scope: 'segment',
    tag: 'Uploads',
    summary: 'Get how much of an upload was received',
    parameters: { path, header: z.object(version) },
    responses: {
      200: {
        description: 'In headers.',
        headers: ['Tus-Resumable', 'Upload-Offset', 'Upload-Length', 'Upload-Expires'],
      },
    },
    errors: OF_TUS,
  },
  continueUpload: {
    method: 'patch',
    path: '/v1/uploads/{id}',
    scope: 'segment',
    tag: 'Uploads',
    summary: 'Send more of an upload',
    parameters: {
      path,
      header: z.object({
        ...version,
        'upload-offset': bytes.describe('the bytes that were received before'),
        'upload-length': bytes.optional().describe('the length of an upload that was created without'),
      }),
    },
    body: CHUNK,
    isBodyRequired: true,
    responses: {
      204: {
        description: 'The bytes were received.',
        headers: ['Tus-Resumable', 'Upload-Offset', 'Upload-Expires'],
      },
    },
    errors: [...OF_TUS, ...OF_CHUNKS],
  },
  deleteUpload: {
    method: 'delete',
    path: '/v1/uploads/{id}',
    scope: 'segment',
    tag: 'Uploads',
    summary: 'Remove an upload',
    parameters: { path, header: z.object(version) },
    responses: { 204: { description: 'It is removed.', headers: ['Tus-Resumable'] } },
    errors: OF_TUS,
  },
} as const satisfies Record<string, Operation>;
