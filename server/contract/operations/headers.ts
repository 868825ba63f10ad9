import type { JsonSchema } from '../schemas/notation.js';

interface Header {
  /** Whether every response that names it has it; its description says when one that is not required is sent. */
  readonly required: boolean;
  readonly description: string;
  readonly schema: JsonSchema;
  readonly example: unknown;
}

const text: JsonSchema = { type: 'string' };
const integer: JsonSchema = { type: 'integer', minimum: 0 };

/** The headers of responses, by their names. */
export const HEADERS = {
  Location: {
    required: true,
    description: 'The path of what was created.',
    schema: text,
    example: '/v1/jobs/5b3c3a52-6f2c-4b0a-9b60-0a6b7e0f7a11',
  },
  'Retry-After': {
    required: false,
    description: 'Seconds after which the request may be repeated.',
    schema: integer,
    example: 2,
  },
  RateLimit: {
    required: false,
    description:
      'Of a server with `--token-rate`: the requests that are left, and seconds until all are again.',
    schema: text,
    example: '"token";r=39;t=1',
  },
  'RateLimit-Policy': {
    required: false,
    description: 'Of a server with `--token-rate`: the requests in a window of seconds.',
    schema: text,
    example: '"token";q=40;w=4',
  },
  'WWW-Authenticate': {
    required: true,
    description: 'How to authenticate (RFC 6750).',
    schema: text,
    example: 'Bearer realm="unseam"',
  },
  'Cache-Status': {
    required: true,
    description: 'Whether the results are those of an earlier request (RFC 9211).',
    schema: text,
    example: 'unseam; hit',
  },
  'Server-Timing': {
    required: true,
    description: 'How long each stage took, in ms.',
    schema: text,
    example: 'decode;dur=1.2, infer;dur=34.5',
  },
  'Unseam-Model': {
    required: true,
    description: 'The model, `NAME/VERSION`.',
    schema: text,
    example: 'shapes/1',
  },
  'Unseam-Exact': {
    required: true,
    description: 'Whether the mask is that of one pass over the whole image.',
    schema: { enum: ['true', 'false'] },
    example: 'true',
  },
  'Unseam-Receipt': {
    required: true,
    description: 'The receipt, as JSON in ASCII.',
    schema: text,
    example: '{"model":{"name":"shapes","version":1}}',
  },
  'Inference-Header-Content-Length': {
    required: false,
    description: 'The bytes of the JSON, where binary values follow it.',
    schema: integer,
    example: 210,
  },
  'Preference-Applied': {
    required: false,
    description: '`respond-async` where that is why the response is a job.',
    schema: text,
    example: 'respond-async',
  },
  'Idempotent-Replayed': {
    required: false,
    description: '`true` where an earlier request with the same `Idempotency-Key` created the job.',
    schema: { enum: ['true'] },
    example: 'true',
  },
  ETag: { required: true, description: 'Identifies the bytes.', schema: text, example: '"5b3c-labels-png"' },
  'Content-Range': {
    required: true,
    description: 'The part that is sent.',
    schema: text,
    example: 'bytes 0-999/2000',
  },
  'Set-Cookie': {
    required: true,
    description: 'A cookie for the page, which scripts cannot read.',
    schema: text,
    example: 'unseam=…; Path=/; HttpOnly; SameSite=Strict',
  },
  'Tus-Resumable': {
    required: true,
    description: 'The version of the protocol.',
    schema: text,
    example: '1.0.0',
  },
  'Tus-Version': { required: true, description: 'The supported versions.', schema: text, example: '1.0.0' },
  'Tus-Extension': {
    required: true,
    description: 'The supported extensions.',
    schema: text,
    example: 'creation,creation-with-upload,creation-defer-length,termination,expiration',
  },
  'Tus-Max-Size': {
    required: true,
    description: 'The largest upload, in bytes.',
    schema: integer,
    example: 8_000_000_000,
  },
  'Upload-Offset': {
    required: false,
    description: 'The bytes that were received; of an upload that is created, if the request has a body.',
    schema: integer,
    example: 8_388_608,
  },
  'Upload-Length': {
    required: false,
    description: 'The bytes of the upload, once its length was stated.',
    schema: integer,
    example: 25_000_000,
  },
  'Upload-Expires': {
    required: false,
    description: 'When an incomplete upload is removed.',
    schema: text,
    example: 'Mon, 04 May 2026 09:30:00 GMT',
  },
} as const satisfies Readonly<Record<string, Header>>;
export type HeaderName = keyof typeof HEADERS;
