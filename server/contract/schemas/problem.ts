import { z } from 'zod';

/** An error, as `application/problem+json` (RFC 9457). */
export const problemSchema = z
  .object({
    type: z.string().describe('`urn:unseam:problem:CODE`, which is stable'),
    title: z.string().describe('what the code means'),
    status: z.int().describe('the HTTP status'),
    error: z
      .string()
      .exactOptional()
      .describe('below `/v2`, the detail again, where clients of the Open Inference Protocol look for it'),
    detail: z.string().describe('what is wrong with this request, and what would be right'),
  })
  .describe('an error (RFC 9457)');
