import type { ModelShelf } from '../../model/shelf/shelf.js';
import type { LimitName } from '../contract/limits.js';
import type { Jobs } from '../jobs/jobs.js';
import type { JobStore } from '../jobs/store.js';
import type { UploadLimits } from './receive-image.js';
import type { Slides } from './slides.js';
import type { Uploads } from './uploads.js';

/** What the routes work with. A route takes those members that it needs. */
export interface RouteDependencies {
  readonly jobs: Jobs;
  readonly store: JobStore;
  readonly shelf: ModelShelf;
  readonly uploads: Uploads;
  readonly limits: UploadLimits;
  /** The folder below which requests may name images by path; null for none. */
  readonly slides: Slides;
  /** A client that reads nothing of its result for this long is disconnected, in ms. */
  readonly idleTimeoutMs: number;
}

/** Current usage of limits. */
export type Used = Partial<Record<LimitName, number>>;

export interface LimitsDependencies {
  /** Each limit in its unit; null for one that is not set. */
  readonly values: Readonly<Record<LimitName, number | null>>;
  /** Usage of an owner, of the limits of each token. */
  readonly usedBy: (owner: string) => Used;
  /** Usage of the limits of the server. */
  readonly used: () => Used;
}
