import type { Code } from './problems.js';

/** What a limit counts. */
export const LIMIT_UNITS = [
  'bytes',
  'px',
  'jobs',
  'uploads',
  'requests',
  'requests/s',
  'bytes/s',
  's',
  'characters',
  'parameters',
  'planes',
  'files',
] as const;

/** What a limit applies to: one request, all requests and jobs of one token, or the whole server. */
export const LIMIT_SCOPES = ['request', 'token', 'server'] as const;

export interface Limit {
  readonly per: (typeof LIMIT_SCOPES)[number];
  readonly unit: (typeof LIMIT_UNITS)[number];
  /** The error of a request that exceeds it. */
  readonly code: Code;
  /** The option of `unseam serve` that sets it; null for one that is fixed. */
  readonly setting: string | null;
  readonly what: string;
}

/** Every limit of a server that a client can exceed. */
export const LIMITS = {
  body: {
    per: 'request',
    unit: 'bytes',
    code: 'too-large',
    setting: '--max-body',
    what: 'size of a request body, or of a resumable upload',
  },
  json: { per: 'request', unit: 'bytes', code: 'too-large', setting: null, what: 'size of a JSON body' },
  tensorJson: {
    per: 'request',
    unit: 'bytes',
    code: 'too-large',
    setting: null,
    what: 'size of the JSON of an inference with values in it; more are sent as binary data',
  },
  url: {
    per: 'request',
    unit: 'characters',
    code: 'address-too-long',
    setting: null,
    what: 'length of a URL',
  },
  parameters: {
    per: 'request',
    unit: 'parameters',
    code: 'bad-request',
    setting: null,
    what: 'parameters of a request',
  },
  parameter: {
    per: 'request',
    unit: 'characters',
    code: 'bad-request',
    setting: null,
    what: 'length of a parameter',
  },
  pixels: {
    per: 'request',
    unit: 'px',
    code: 'image-too-large',
    setting: '--max-pixels',
    what: 'width times height of an image, of all planes of a stack that are segmented together',
  },
  planes: {
    per: 'request',
    unit: 'planes',
    code: 'image-too-large',
    setting: null,
    what: 'planes of a stack that are segmented in one job',
  },
  zarrFiles: {
    per: 'request',
    unit: 'files',
    code: 'unsupported-output',
    setting: null,
    what: 'files of a result as OME-Zarr: for each plane, class and level, one or more',
  },
  unpacked: {
    per: 'request',
    unit: 'bytes',
    code: 'image-too-large',
    setting: '--max-unpacked',
    what: 'decoded size of an image without random access',
  },
  header: {
    per: 'request',
    unit: 'characters',
    code: 'header-too-long',
    setting: null,
    what: 'length of a header that is read, such as `Upload-Metadata`; of most of them less',
  },
  bodyRate: {
    per: 'request',
    unit: 'bytes/s',
    code: 'stalled',
    setting: '--min-rate',
    what: 'the least rate of a request body, over --idle-timeout',
  },
  bodyTime: {
    per: 'request',
    unit: 's',
    code: 'stalled',
    setting: null,
    what: 'time of a request body, whatever its rate',
  },
  headerTime: {
    per: 'request',
    unit: 's',
    code: 'stalled',
    setting: null,
    what: "time until a request's headers have arrived",
  },

  tokenRate: {
    per: 'token',
    unit: 'requests/s',
    code: 'rate-limited',
    setting: '--token-rate',
    what: 'requests, on average',
  },
  tokenBurst: {
    per: 'token',
    unit: 'requests',
    code: 'rate-limited',
    setting: '--token-burst',
    what: 'requests at once, after a pause',
  },
  tokenJobs: {
    per: 'token',
    unit: 'jobs',
    code: 'too-many-jobs',
    setting: '--token-jobs',
    what: 'jobs that are pending or running',
  },
  tokenUploads: {
    per: 'token',
    unit: 'requests',
    code: 'busy',
    setting: '--token-jobs',
    what: 'request bodies that are received at a time',
  },
  tokenStored: {
    per: 'token',
    unit: 'uploads',
    code: 'busy',
    setting: null,
    what: 'resumable uploads that no job has claimed',
  },
  tokenPixels: {
    per: 'token',
    unit: 'px',
    code: 'too-many-pixels',
    setting: '--token-pixels',
    what: 'images of the jobs that are pending or running, together',
  },
  tokenBytes: {
    per: 'token',
    unit: 'bytes',
    code: 'quota-exceeded',
    setting: '--token-bytes',
    what: 'jobs, with their images and results, and uploads, together',
  },

  jobs: {
    per: 'server',
    unit: 'jobs',
    code: 'busy',
    setting: '--queue',
    what: 'jobs that are pending, running or being uploaded',
  },
  normalJobs: {
    per: 'server',
    unit: 'jobs',
    code: 'busy',
    setting: '--queue-normal',
    what: 'those of priority `normal` and `bulk` among them',
  },
  bulkJobs: {
    per: 'server',
    unit: 'jobs',
    code: 'busy',
    setting: '--queue-bulk',
    what: 'those of priority `bulk` among them',
  },
  uploads: {
    per: 'server',
    unit: 'requests',
    code: 'busy',
    setting: '--queue',
    what: 'request bodies that are received at a time',
  },
  storedUploads: {
    per: 'server',
    unit: 'uploads',
    code: 'busy',
    setting: null,
    what: 'resumable uploads that no job has claimed',
  },
  pendingHeaders: {
    per: 'server',
    unit: 'requests',
    code: 'busy',
    setting: null,
    what: 'images whose header waits to be read',
  },
  pendingTiles: {
    per: 'server',
    unit: 'requests',
    code: 'busy',
    setting: null,
    what: 'tiles that viewers wait for',
  },
  pendingResults: {
    per: 'server',
    unit: 'requests',
    code: 'busy',
    setting: null,
    what: 'results that wait to be derived from a mask',
  },
  disk: {
    per: 'server',
    unit: 'bytes',
    code: 'disk-full',
    setting: '--quota',
    what: 'all jobs, with their images and results, and uploads',
  },
  diskLow: {
    per: 'server',
    unit: 'bytes',
    code: 'disk-full',
    setting: '--quota-low',
    what: 'once the quota was reached: what has to be in use, at most, for more to be accepted',
  },
  minFree: {
    per: 'server',
    unit: 'bytes',
    code: 'disk-full',
    setting: '--min-free',
    what: 'the least space that uploads leave free on the disk',
  },
} as const satisfies Record<string, Limit>;

export type LimitName = keyof typeof LIMITS;
