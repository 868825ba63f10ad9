import type { JobView } from './schemas/job.js';
import type { JobPlan } from './schemas/plan.js';

/** The id of a token, as documents of the API show it. */
export const EXAMPLE_TOKEN_ID = '7hq2xk4m9c0d';

const id = '5b3c3a52-6f2c-4b0a-9b60-0a6b7e0f7a11';
const self = `/v1/jobs/${id}`;
const halo = { top: 44, left: 44, bottom: 44, right: 44 };
const image = {
  width: 2000,
  height: 1500,
  channels: 1,
  dtype: 'uint8',
  mpp: { x: 0.5, y: 0.5 },
  stack: null,
};
const plan = { tile: '604x604', halo, stride: '512x512', tiles: 12, haloShare: 0.315 };
const model = { name: 'shapes', version: 1, sha256: 'b6d81b360a5672d80c27430f39153e2c' };

/** A running job, as documents of the API show it. */
export const EXAMPLE_JOB: JobView = {
  id,
  owner: `token:${EXAMPLE_TOKEN_ID}`,
  state: 'running',
  priority: 'normal',
  createdAt: '2026-05-04T09:30:00.000Z',
  startedAt: '2026-05-04T09:30:00.120Z',
  finishedAt: null,
  source: { kind: 'upload', name: 'slide.tif', bytes: 3_000_412, sha256: null },
  model: 'shapes/1',
  image,
  plan,
  progress: {
    tiles: 12,
    tilesDone: 6,
    tilesReplayed: 0,
    tilesSkipped: 0,
    tilesConstant: 1,
    tilesIdentical: 0,
    pixels: 3_000_000,
    pixelsDone: 1_500_000,
    pixelsComputed: 1_500_000,
    haloAndPixels: 2_188_896,
    planes: 1,
    planesDone: 0,
  },
  pixelsPerSecond: 2_400_000,
  secondsLeft: 0.625,
  retry: null,
  restarts: 0,
  error: null,
  pause: null,
  receipt: null,
  cachedFrom: null,
  results: [],
  links: { self, events: `${self}/events`, preview: `${self}/preview` },
};

/** A plan, as documents of the API show it. */
export const EXAMPLE_PLAN: JobPlan = {
  model,
  classes: [
    { name: 'background', colour: null },
    { name: 'object', colour: '#e69f00' },
  ],
  exact: true,
  largestDifference: 0,
  normalisation: 'type-range',
  range: [0, 255],
  image,
  outputs: [{ kind: 'labels', format: 'tiff' }],
  plan,
  channels: 'none',
  channelIndexes: null,
  device: 'x64 CPU, avx2, blocks of 8 channels',
  compute: { lanes: 2, threads: 1, batchPx: 1_048_576, measured: false, fallback: null },
  warnings: [],
  isOneFile: true,
  simplify: 0,
  priority: 'normal',
  expected: { memoryBytes: 180_000_000, diskBytes: 4_050_000, scratchBytes: 0, seconds: 1.25, jobsBefore: 0 },
};
