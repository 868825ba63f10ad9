import { z } from 'zod';
import { LIMIT_SCOPES, LIMIT_UNITS, LIMITS, type LimitName } from '../limits.js';
import type { Described } from './values.js';

/** The response to `GET /v1/limits`. */
export const limitsSchema = z.object({
  limits: z.array(
    z.object({
      name: z.enum(Object.keys(LIMITS) as [LimitName, ...LimitName[]]),
      what: z.string(),
      per: z
        .enum(LIMIT_SCOPES)
        .describe('whom it holds for: each request, all that one token has, or the server'),
      unit: z.enum(LIMIT_UNITS),
      value: z.number().nullable().describe('in its unit; null where none is set'),
      used: z
        .number()
        .nullable()
        .describe(
          "what the caller's token has in use; of the server, for admins; null where that is not counted",
        ),
      code: z.string().describe('the error of what exceeds it'),
      status: z.int().describe('the HTTP status of that error'),
      setting: z
        .string()
        .nullable()
        .describe('the option of `unseam serve` that sets it; null for a fixed one'),
    }),
  ),
});
export type LimitsView = Described<typeof limitsSchema>;
