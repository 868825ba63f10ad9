import { MAX_PLANES } from '../tiling/planes.js';
import { MAX_FILES } from '../tiling/zip/records.js';
import { formatBytes } from './contract/byte-size.js';
import { RequestError } from './contract/errors.js';
import { LIMITS, type LimitName } from './contract/limits.js';
import { PARAMETER_BOUNDS } from './contract/parameters.js';
import { MAX_BODY_MS } from './http/body-watch.js';
import { REQUEST_BOUNDS } from './http/bounds.js';
import { HEADER_TIMES } from './http/connections.js';
import type { LimitsDependencies } from './http/dependencies.js';
import { MAX_VALUES_BYTES } from './http/inference/read-request.js';
import { MAX_JSON_BYTES } from './http/job-request.js';
import type { Rate } from './http/rate-limit.js';
import { MAX_OWNER_UPLOADS, MAX_UPLOADS } from './http/upload-store.js';
import type { AdmissionLimits } from './jobs/admission.js';
import type { Jobs } from './jobs/jobs.js';
import { MAX_PENDING } from './readers/readers.js';
import type { ServeOptions } from './serve-options.js';
import type { DiskAccount, DiskLimits } from './storage/disk-account.js';
import type { DiskSpace } from './storage/free-space.js';

/** Shares of `--queue` that less urgent jobs may take by default. */
const QUEUE_SHARES = { normal: 7 / 8, bulk: 3 / 4 } as const;
/** The share of `--quota` below which more is accepted again, by default. */
const LOW_WATER_SHARE = 0.9;
/** The seconds of `--token-rate` that may be requested at once, by default. */
const BURST_S = 4;
const MIN_FREE = { bytes: 2 ** 30, share: 0.05 } as const;

/** The value of every limit, in its unit; null for one that is not set. */
type LimitValues = Readonly<Record<LimitName, number | null>>;

/** The limits that a server enforces. */
export interface Limits {
  readonly admission: AdmissionLimits;
  readonly disk: DiskLimits;
  /** Disk space that uploads leave free, in bytes. */
  readonly minFreeBytes: number;
  /** Request bodies of one token that are received at a time. */
  readonly ownerPlaces: number;
  /** The rate of requests of each token; null for no limit. */
  readonly rate: Rate | null;
  readonly values: LimitValues;
}

/**
 * Resolves the limits that options set.
 * @param disk that the data folder lies on
 * @throws RequestError `bad-request` for limits that cannot hold together, with the name of the option
 */
export function limitsOf(options: ServeOptions, disk: Pick<DiskSpace, 'size'>): Limits {
  const { owners, queueLimit, quotaBytes } = options;
  const values = valuesOf(options, disk);
  checkAgreement(values);
  checkDependence(options);
  checkDisk(values, disk);
  const places = { interactive: queueLimit, normal: values.normalJobs!, bulk: values.bulkJobs! };
  return {
    admission: { places, ownerJobs: owners.jobs, ownerPixels: owners.pixels },
    disk: { quotaBytes, lowWaterBytes: values.diskLow ?? 0, ownerBytes: owners.bytes },
    minFreeBytes: values.minFree!,
    ownerPlaces: values.tokenUploads!,
    rate: owners.rate === null ? null : { perSecond: owners.rate, burst: values.tokenBurst! },
    values,
  };
}

/** Derives what is not given from what it is a part of. */
function valuesOf(options: ServeOptions, disk: Pick<DiskSpace, 'size'>): LimitValues {
  const { owners, queueLimit, quotaBytes, quotaLowBytes } = options;
  const normal = options.queueNormal ?? Math.ceil(QUEUE_SHARES.normal * queueLimit);
  return {
    body: options.maxBodyBytes,
    json: MAX_JSON_BYTES,
    tensorJson: MAX_VALUES_BYTES,
    url: REQUEST_BOUNDS.urlChars,
    header: REQUEST_BOUNDS.headerChars,
    parameters: PARAMETER_BOUNDS.parameters,
    parameter: PARAMETER_BOUNDS.chars,
    pixels: options.maxPixels,
    planes: MAX_PLANES,
    zarrFiles: MAX_FILES,
    unpacked: options.maxUnpackedBytes,
    bodyRate: options.minRate,
    bodyTime: MAX_BODY_MS / 1000,
    headerTime: HEADER_TIMES.headersTimeout / 1000,
    tokenRate: owners.rate,
    tokenBurst: owners.rate && (owners.burst ?? Math.max(1, Math.ceil(BURST_S * owners.rate))),
    tokenJobs: owners.jobs,
    tokenUploads: owners.jobs ?? queueLimit,
    tokenStored: MAX_OWNER_UPLOADS,
    tokenPixels: owners.pixels,
    tokenBytes: owners.bytes,
    jobs: queueLimit,
    normalJobs: normal,
    bulkJobs: options.queueBulk ?? Math.min(normal, Math.ceil(QUEUE_SHARES.bulk * queueLimit)),
    uploads: queueLimit,
    storedUploads: MAX_UPLOADS,
    pendingHeaders: MAX_PENDING.headers,
    pendingTiles: MAX_PENDING.tiles,
    pendingResults: MAX_PENDING.results,
    disk: quotaBytes,
    diskLow: quotaBytes && (quotaLowBytes ?? Math.floor(LOW_WATER_SHARE * quotaBytes)),
    minFree: options.minFreeBytes ?? Math.min(MIN_FREE.bytes, MIN_FREE.share * disk.size),
  };
}

/** Limits that may not exceed others, and why. */
const AT_MOST: readonly (readonly [limit: LimitName, other: LimitName, why: string])[] = [
  ['normalJobs', 'jobs', 'it is a part of it'],
  ['bulkJobs', 'normalJobs', 'it is a part of it'],
  ['tokenJobs', 'jobs', 'no token could have as many'],
  ['pixels', 'tokenPixels', 'such an image would never be accepted'],
  ['body', 'tokenBytes', 'such an upload would never be accepted'],
  ['body', 'disk', 'such an upload would never be accepted'],
  ['tokenBytes', 'disk', 'no token could have as much'],
  ['diskLow', 'disk', 'it is the mark below which more is accepted'],
];

function checkAgreement(values: LimitValues): void {
  for (const [name, other, why] of AT_MOST) {
    const [value, most] = [values[name], values[other]];
    if (value !== null && most !== null && value > most)
      throw contradiction(name, value, `${LIMITS[other].setting} (${inUnit(other, most)})`, why);
  }
}

/** Refuses options that only limit together with others, which are not given. */
function checkDependence({ owners, quotaBytes, quotaLowBytes }: ServeOptions): void {
  const needs = (name: LimitName, given: number | null, other: LimitName, otherGiven: number | null) => {
    if (given === null || otherGiven !== null) return;
    const [setting, missing] = [LIMITS[name].setting, LIMITS[other].setting];
    throw new RequestError('bad-request', `${setting} limits nothing without ${missing}`);
  };
  needs('tokenBurst', owners.burst, 'tokenRate', owners.rate);
  needs('diskLow', quotaLowBytes, 'disk', quotaBytes);
}

function checkDisk({ disk: quota, minFree }: LimitValues, { size }: Pick<DiskSpace, 'size'>): void {
  if (minFree! > size) {
    const other = `the size of the disk (${formatBytes(size)})`;
    throw contradiction('minFree', minFree!, other, 'no upload would ever be accepted');
  }
  if (quota !== null && quota > size - minFree!) {
    const other = `what the disk has beside --min-free (${formatBytes(size - minFree!)})`;
    throw contradiction('disk', quota, other, 'it could not be used');
  }
}

const contradiction = (name: LimitName, value: number, other: string, why: string): RequestError =>
  new RequestError(
    'bad-request',
    `${LIMITS[name].setting} (${inUnit(name, value)}) is more than ${other}: ${why}`,
  );

/** What of the limits is in use, for clients. */
export const usageOf = (
  { values }: Limits,
  jobs: Pick<Jobs, 'occupancy'>,
  account: DiskAccount,
): LimitsDependencies => ({
  values,
  usedBy: (owner) => {
    const { active, pixels } = jobs.occupancy(owner);
    return { tokenJobs: active, tokenPixels: pixels, tokenBytes: account.usedBy(owner) };
  },
  used: () => ({ jobs: jobs.occupancy().active, disk: account.total }),
});

const inUnit = (name: LimitName, value: number): string =>
  LIMITS[name].unit === 'bytes' ? formatBytes(value) : String(value);
