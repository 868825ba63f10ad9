import { ACCESS } from './operations/access.js';
import { DEEP_ZOOM } from './operations/deep-zoom.js';
import { INFERENCE } from './operations/inference.js';
import { JOBS } from './operations/jobs.js';
import { MODELS } from './operations/models.js';
import type { Operation } from './operations/operation.js';
import { SEGMENT } from './operations/segment.js';
import { PAGE, SERVER } from './operations/server.js';
import { UPLOADS } from './operations/uploads.js';

/** The HTTP API: every operation by its name. A route is registered by the name of its operation, and in no other way. */
export const OPERATIONS = {
  ...SEGMENT,
  ...JOBS,
  ...DEEP_ZOOM,
  ...UPLOADS,
  ...MODELS,
  ...ACCESS,
  ...INFERENCE,
  ...SERVER,
  ...PAGE,
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;
