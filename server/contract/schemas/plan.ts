import { z } from 'zod';
import { PRIORITIES } from '../../../model/scheduler/priority.js';
import { receiptSchema } from '../receipt.js';
import { count, type Described } from './values.js';

const { shape } = receiptSchema;

/** What is known of a job before it runs: a part of its receipt, and the resources it is expected to take. */
const jobFactsSchema = z.object({
  model: shape.model,
  classes: shape.classes,
  exact: shape.exact,
  largestDifference: shape.largestDifference,
  normalisation: shape.normalisation,
  range: shape.range,
  image: shape.image,
  outputs: shape.outputs,
  plan: shape.plan,
  channels: shape.channels,
  channelIndexes: shape.channelIndexes,
  device: shape.device,
  compute: shape.compute,
  warnings: shape.warnings,
  isOneFile: z
    .boolean()
    .describe(
      'whether the image is one file, or the folder or address of one image, and no other files hold parts of it',
    ),
  simplify: z.number().describe("how far simplified contours may be from the pixels' sides, in px"),
  expected: z.object({
    memoryBytes: count.describe('of the worker process, at most'),
    diskBytes: count.describe('its journal and its files, at most; contours and tables are not counted'),
    scratchBytes: count.describe(
      'in addition, while it runs, for a picture that is unpacked to a scratch file',
    ),
  }),
});
export type JobFacts = Described<typeof jobFactsSchema>;

/** The response to `POST /v1/plan`. */
export const planSchema = jobFactsSchema
  .extend({
    priority: z.enum(PRIORITIES),
    expected: jobFactsSchema.shape.expected.extend({
      seconds: z.number().describe('on this device, from the time of one tile'),
      jobsBefore: count.describe('jobs that would run before it'),
    }),
  })
  .describe('what a job would do with an image, and what it would take');
export type JobPlan = Described<typeof planSchema>;
