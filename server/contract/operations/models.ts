import { z } from 'zod';
import { modelListSchema, modelSchema } from '../schemas/model.js';
import type { Operation } from './operation.js';

const path = z.object({ name: z.string().describe('`NAME`, or `NAME%2FVERSION`') });

const ofFirst = { name: '$response.body#/models/0/name' };

export const MODELS = {
  listModels: {
    method: 'get',
    path: '/v1/models',
    scope: 'read',
    tag: 'Models',
    summary: 'List the models',
    responses: {
      200: {
        description: 'The latest version of each model, by its card.',
        content: {
          'application/json': { schema: modelListSchema, example: { models: [], unreadable: [] } },
        },
        links: { getModel: ofFirst, getCurves: ofFirst },
      },
    },
    errors: [],
  },
  getModel: {
    method: 'get',
    path: '/v1/models/{name}',
    scope: 'read',
    tag: 'Models',
    summary: 'Get the card of a model',
    parameters: { path },
    responses: {
      200: { description: 'The card.', content: { 'application/json': { schema: modelSchema } } },
    },
    errors: ['unknown-model', 'bad-checkpoint'],
  },
  getCurves: {
    method: 'get',
    path: '/v1/models/{name}/curves.svg',
    scope: 'read',
    tag: 'Models',
    summary: "Get the curves of a model's training",
    parameters: { path },
    responses: { 200: { description: 'A picture.', content: { 'image/svg+xml': { schema: 'text' } } } },
    errors: ['unknown-model', 'bad-checkpoint', 'not-found'],
  },
} as const satisfies Record<string, Operation>;
