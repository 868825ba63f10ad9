import { z } from 'zod';
import { cardSchema } from '../../../model/shelf/card.js';

/** A model's card, with what the server adds. */
export const modelSchema = cardSchema
  .safeExtend({
    curves: z.string().nullable().describe('the path of the curves of its training; null without'),
    quantised: z.array(z.string()).describe('its quantised versions, as `NAME/VERSION`'),
  })
  .describe('what a model is, how it was trained, and how well it scores');

export const modelListSchema = z
  .object({
    models: z.array(modelSchema).describe('the latest version of each model, by name'),
    unreadable: z
      .array(
        z.object({
          name: z.string(),
          version: z.union([z.int(), z.string()]),
          reason: z.string(),
        }),
      )
      .describe('models that cannot be used, and why'),
  })
  .describe('the models of the server');
