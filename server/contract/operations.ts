/** What a caller may do. `segment` and `train` include `read`; `admin` includes all. */
export const SCOPES = ['read', 'segment', 'train', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** One operation of the HTTP API. */
export interface Operation {
  readonly method: 'get' | 'head' | 'post' | 'patch' | 'delete' | 'options';
  /** As OpenAPI writes paths: `/v1/jobs/{id}`. */
  readonly path: string;
  /** What its caller has to be allowed; null for everyone, who may be nobody known. */
  readonly scope: Scope | null;
  /** What it does, in a phrase. */
  readonly summary: string;
}

/** The HTTP API: every operation by its name. A route is registered by the name of its operation, and in no other way. */
export const OPERATIONS = {
  segment: {
    method: 'post',
    path: '/v1/segment',
    scope: 'segment',
    summary: 'Segment an image, and wait for its mask',
  },
  plan: { method: 'post', path: '/v1/plan', scope: 'segment', summary: 'Plan a job, without running it' },

  createJob: { method: 'post', path: '/v1/jobs', scope: 'segment', summary: 'Create a job' },
  listJobs: { method: 'get', path: '/v1/jobs', scope: 'read', summary: 'List the jobs, the newest first' },
  getJob: { method: 'get', path: '/v1/jobs/{id}', scope: 'read', summary: 'Get a job' },
  deleteJob: {
    method: 'delete',
    path: '/v1/jobs/{id}',
    scope: 'segment',
    summary: 'Cancel a job, or remove one that has ended',
  },
  resumeJob: {
    method: 'post',
    path: '/v1/jobs/{id}/resume',
    scope: 'segment',
    summary: 'Resume a paused job',
  },
  followJob: {
    method: 'get',
    path: '/v1/jobs/{id}/events',
    scope: 'read',
    summary: 'Follow a job by Server-Sent Events',
  },
  getResult: {
    method: 'get',
    path: '/v1/jobs/{id}/result',
    scope: 'read',
    summary: 'Get a result of a job',
  },
  getPreview: {
    method: 'get',
    path: '/v1/jobs/{id}/preview',
    scope: 'read',
    summary: 'Get the mask of a running job, as far as it is',
  },
  getImage: {
    method: 'get',
    path: '/v1/jobs/{id}/image.dzi',
    scope: 'read',
    summary: "Get a job's image, as a Deep Zoom image",
  },
  getMask: {
    method: 'get',
    path: '/v1/jobs/{id}/mask.dzi',
    scope: 'read',
    summary: "Get a job's mask, as a Deep Zoom image",
  },
  getImageTile: {
    method: 'get',
    path: '/v1/jobs/{id}/image_files/{level}/{tile}',
    scope: 'read',
    summary: "Get a tile of a job's image",
  },
  getMaskTile: {
    method: 'get',
    path: '/v1/jobs/{id}/mask_files/{level}/{tile}',
    scope: 'read',
    summary: "Get a tile of a job's mask",
  },

  getUploadOptions: {
    method: 'options',
    path: '/v1/uploads',
    scope: 'segment',
    summary: 'Get what of the tus protocol is supported',
  },
  createUpload: {
    method: 'post',
    path: '/v1/uploads',
    scope: 'segment',
    summary: 'Create a resumable upload',
  },
  getUpload: {
    method: 'head',
    path: '/v1/uploads/{id}',
    scope: 'segment',
    summary: 'Get how much of an upload was received',
  },
  continueUpload: {
    method: 'patch',
    path: '/v1/uploads/{id}',
    scope: 'segment',
    summary: 'Send more of an upload',
  },
  overrideUpload: {
    method: 'post',
    path: '/v1/uploads/{id}',
    scope: 'segment',
    summary: 'Send more of an upload, or remove it, as X-HTTP-Method-Override says',
  },
  deleteUpload: {
    method: 'delete',
    path: '/v1/uploads/{id}',
    scope: 'segment',
    summary: 'Remove an upload',
  },

  listModels: { method: 'get', path: '/v1/models', scope: 'read', summary: 'List the models' },
  getModel: { method: 'get', path: '/v1/models/{name}', scope: 'read', summary: 'Get the card of a model' },
  getCurves: {
    method: 'get',
    path: '/v1/models/{name}/curves.svg',
    scope: 'read',
    summary: "Get the curves of a model's training",
  },

  getSession: { method: 'get', path: '/v1/session', scope: 'read', summary: 'Get who sends the request' },
  signIn: {
    method: 'post',
    path: '/v1/session',
    scope: 'read',
    summary: 'Keep the token of the request in a cookie, for a page in a browser',
  },
  signOut: { method: 'delete', path: '/v1/session', scope: null, summary: 'Remove that cookie' },
  listTokens: { method: 'get', path: '/v1/tokens', scope: 'admin', summary: 'List the tokens' },
  createToken: { method: 'post', path: '/v1/tokens', scope: 'admin', summary: 'Make a token' },
  revokeToken: { method: 'delete', path: '/v1/tokens/{id}', scope: 'admin', summary: 'Revoke a token' },
  getLimits: {
    method: 'get',
    path: '/v1/limits',
    scope: 'read',
    summary: 'List the limits, and how much of them is in use',
  },

  getPage: { method: 'get', path: '/', scope: null, summary: 'Get the page' },
  getIcon: { method: 'get', path: '/favicon.ico', scope: null, summary: 'Get the icon of the page' },
  getAsset: { method: 'get', path: '/web/{file}', scope: null, summary: 'Get a file of the page' },

  isLive: { method: 'get', path: '/livez', scope: null, summary: 'Whether the server lives' },
  isReady: { method: 'get', path: '/readyz', scope: null, summary: 'Whether the server accepts work' },
  getMetrics: { method: 'get', path: '/metrics', scope: 'read', summary: 'Get the metrics, for Prometheus' },
} as const satisfies Record<string, Operation>;

export type OperationName = keyof typeof OPERATIONS;
