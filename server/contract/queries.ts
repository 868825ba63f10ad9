import { z } from 'zod';
import { PRIORITIES } from '../../model/scheduler/priority.js';
import { requestedSourceSchema } from './job-source.js';
import { FORMAT_NAMES, formatsOf, OUTPUTS } from './outputs.js';
import { planShape, simplifyShape } from './parameters.js';
import { JOB_STATES } from './schemas/job.js';
import { integer, NOTATION } from './schemas/notation.js';

/** Every `OUTPUT`, and `OUTPUT:FORMAT`, as a regular expression. */
const RESULT = OUTPUTS.map((output) => `${output}(:(${formatsOf(output).join('|')}))?`).join('|');

const priority = z
  .enum(PRIORITIES)
  .optional()
  .describe('whose tiles are computed first; `interactive` for what its request waits for, else `normal`');

/** The parameters of `POST /v1/segment`. */
export const segmentParametersSchema = z.strictObject({
  ...planShape,
  output: z
    .string()
    .register(NOTATION, { text: { type: 'string', pattern: `^(${RESULT})$` } })
    .optional()
    .describe('`OUTPUT` or `OUTPUT:FORMAT`. Default `labels`, in the format that `Accept` prefers'),
  simplify: simplifyShape,
  priority,
});

/** The parameters of a job, of the query or of a JSON body. */
export const jobParametersSchema = z.strictObject({
  ...segmentParametersSchema.shape,
  output: z
    .string()
    .register(NOTATION, {
      text: { type: 'string', pattern: `^(${RESULT})(,(${RESULT}))*$` },
      json: [
        { type: 'array', minItems: 1, maxItems: 50, items: { type: 'string', pattern: `^(${RESULT})$` } },
      ],
    })
    .optional()
    .describe(
      'the results to write, separated by commas, each `OUTPUT` or `OUTPUT:FORMAT`. Default `labels`',
    ),
});
export type JobParameters = z.output<typeof jobParametersSchema>;

/** The query of a list of jobs. */
export const listParametersSchema = z.strictObject({
  state: z.enum(JOB_STATES).optional().describe('only jobs in this state'),
  limit: integer(1, 500).default(50).describe('jobs of a page, at most; 50 by default'),
  after: z
    .string()
    .regex(
      /^(\d{4}-\d\d-\d\dT[\d:.]{8,12}Z_)?[\w-]{1,64}$/,
      'must be the "next" of the page before, or the id of a job',
    )
    .optional()
    .describe('the `next` of the page before, or the id of a job'),
});

/** The query of a result. */
export const resultParametersSchema = z.strictObject({
  output: z.enum(OUTPUTS).optional().describe("default the job's first"),
  format: z.enum(FORMAT_NAMES).optional().describe('default the one that `Accept` prefers'),
});

/** The JSON body of a job or a plan: where its image is, and its parameters. */
export const jobRequestSchema = jobParametersSchema
  .extend({ source: requestedSourceSchema })
  .describe('an image to segment, which is read where it is');

/** The parameters of an inference request, where the model is in the path and results are outputs. */
export const inferParametersSchema = jobParametersSchema.omit({ model: true, output: true, simplify: true });
