import { z } from 'zod';
import { EXAMPLE_TOKEN_ID } from '../examples.js';
import { newTokenSchema, sessionSchema, tokenListSchema, tokenRequestSchema } from '../schemas/access.js';
import type { Contents, Operation } from './operation.js';

const TOKEN = {
  id: EXAMPLE_TOKEN_ID,
  name: 'the microscope',
  scopes: ['segment'],
  slides: null,
  createdAt: '2026-05-04T09:30:00.000Z',
  expiresAt: '2026-08-02T09:30:00.000Z',
  revokedAt: null,
};
const session = {
  'application/json': {
    schema: sessionSchema,
    example: {
      id: `token:${EXAMPLE_TOKEN_ID}`,
      name: 'the microscope',
      scopes: ['segment'],
      expiresAt: '2026-08-02T09:30:00.000Z',
      needsToken: true,
    },
  },
} as const satisfies Contents;

export const ACCESS = {
  getSession: {
    method: 'get',
    path: '/v1/session',
    scope: 'read',
    tag: 'Access',
    summary: 'Get who sends the request',
    responses: { 200: { description: 'The caller, and what it may do.', content: session } },
    errors: [],
  },
  signIn: {
    method: 'post',
    path: '/v1/session',
    scope: 'read',
    tag: 'Access',
    summary: 'Keep the token of the request in a cookie, for a page in a browser',
    responses: {
      200: { description: 'The caller, and what it may do.', content: session, headers: ['Set-Cookie'] },
    },
    errors: [],
  },
  signOut: {
    method: 'delete',
    path: '/v1/session',
    scope: null,
    tag: 'Access',
    summary: 'Remove that cookie',
    responses: { 204: { description: 'It is removed.', headers: ['Set-Cookie'] } },
    errors: [],
  },
  listTokens: {
    method: 'get',
    path: '/v1/tokens',
    scope: 'admin',
    tag: 'Access',
    summary: 'List the tokens',
    responses: {
      200: {
        description: 'All tokens, without their secrets.',
        content: {
          'application/json': { schema: tokenListSchema, example: { tokens: [TOKEN], unreadable: [] } },
        },
      },
    },
    errors: [],
  },
  createToken: {
    method: 'post',
    path: '/v1/tokens',
    scope: 'admin',
    tag: 'Access',
    summary: 'Make a token',
    description: 'On a server that needs no tokens yet, it is refused: the first one is made on its machine.',
    body: {
      'application/json': {
        schema: tokenRequestSchema,
        example: { name: 'the microscope', scopes: ['segment'], expires: '90d' },
      },
    },
    isBodyRequired: true,
    responses: {
      201: {
        description: 'The token, with its secret: it is never shown again.',
        content: {
          'application/json': {
            schema: newTokenSchema,
            example: { ...TOKEN, token: `unseam_${EXAMPLE_TOKEN_ID}_…` },
          },
        },
        headers: ['Location'],
        links: { revokeToken: { id: '$response.body#/id' } },
      },
    },
    errors: ['forbidden', 'too-large'],
  },
  revokeToken: {
    method: 'delete',
    path: '/v1/tokens/{id}',
    scope: 'admin',
    tag: 'Access',
    summary: 'Revoke a token',
    parameters: { path: z.object({ id: z.string().describe('of the token') }) },
    responses: { 204: { description: 'It is revoked, at once.' } },
    errors: ['not-found'],
  },
} as const satisfies Record<string, Operation>;
