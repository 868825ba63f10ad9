import { formatBytes } from './contract/byte-size.js';
import { RequestError } from './contract/errors.js';
import { LIMITS, type LimitName } from './contract/limits.js';
import { PARAMETER_BOUNDS } from './contract/parameters.js';
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
/** The share of places for uploads that one token may take by default. */
const OWNER_PLACES_SHARE = 3 / 4;
const MIN_FREE = { bytes: 2 ** 30, share: 0.05 } as const;

/** The limits that a server enforces. */
export interface Limits {
  readonly admission: AdmissionLimits;
  readonly disk: DiskLimits;
  /** Disk space that uploads leave free, in bytes. */
  readonly minFreeBytes: number;
  /** Bodies of one token that are received at a time. */
  readonly ownerPlaces: number;
  /** Of each token; null for none. */
  readonly rate: Rate | null;
  /** Every limit's value, in its unit; null for one that is not set. */
  readonly values: Readonly<Record<LimitName, number | null>>;
}

/**
 * The limits that options set, each beside those that it has to agree with.
 * @param disk that the data folder lies on
 * @throws RequestError `bad-request` for limits that cannot hold together, with the name of the option
 */
export function limitsOf(options: ServeOptions, disk: Pick<DiskSpace, 'size'>): Limits {
  const { owners, queueLimit, quotaBytes, maxBodyBytes, maxPixels } = options;
  const normal = options.queueNormal ?? Math.ceil(QUEUE_SHARES.normal * queueLimit);
  const bulk = options.queueBulk ?? Math.min(normal, Math.ceil(QUEUE_SHARES.bulk * queueLimit));
  const lowWaterBytes = options.quotaLowBytes ?? Math.floor(LOW_WATER_SHARE * (quotaBytes ?? 0));
  const minFreeBytes = options.minFreeBytes ?? Math.min(MIN_FREE.bytes, MIN_FREE.share * disk.size);
  const burst = owners.burst ?? Math.max(1, Math.ceil(BURST_S * (owners.rate ?? 0)));

  const ownerPlaces = owners.jobs ?? Math.ceil(OWNER_PLACES_SHARE * queueLimit);

  const atMost = (name: LimitName, value: number | null, limit: number | null, than: string, why: string) => {
    if (value === null || limit === null || value <= limit) return;
    const { setting } = LIMITS[name];
    throw new RequestError(
      'bad-request',
      `${setting} ${inUnit(name, value)} is more than ${than} ${inUnit(name, limit)}: ${why}`,
    );
  };
  atMost('normalJobs', normal, queueLimit, '--queue', 'it is a part of it');
  atMost('bulkJobs', bulk, normal, '--queue-normal', 'it is a part of it');
  atMost('tokenJobs', owners.jobs, queueLimit, '--queue', 'no token could have as many');
  atMost('pixels', maxPixels, owners.pixels, '--token-pixels', 'such an image would never be accepted');
  atMost('body', maxBodyBytes, owners.bytes, '--token-bytes', 'such an upload would never be accepted');
  atMost('body', maxBodyBytes, quotaBytes, '--quota', 'such an upload would never be accepted');
  atMost('tokenBytes', owners.bytes, quotaBytes, '--quota', 'no token could have as much');
  atMost(
    'diskLow',
    options.quotaLowBytes,
    quotaBytes,
    '--quota',
    'it is the mark below which it accepts more',
  );
  atMost(
    'disk',
    quotaBytes,
    disk.size - minFreeBytes,
    'what the disk has beside --min-free,',
    'it could not be used',
  );
  atMost('minFree', minFreeBytes, disk.size, 'the size of the disk,', 'no upload would ever be accepted');
  const needs = (name: LimitName, value: number | null, other: LimitName, otherValue: number | null) => {
    if (value === null || otherValue !== null) return;
    const [setting, missing] = [LIMITS[name].setting, LIMITS[other].setting];
    throw new RequestError('bad-request', `${setting} limits nothing without ${missing}`);
  };
  needs('tokenBurst', owners.burst, 'tokenRate', owners.rate);
  needs('diskLow', options.quotaLowBytes, 'disk', quotaBytes);

  return {
    admission: {
      places: { interactive: queueLimit, normal, bulk },
      ownerJobs: owners.jobs,
      ownerPixels: owners.pixels,
    },
    disk: { quotaBytes, lowWaterBytes, ownerBytes: owners.bytes },
    minFreeBytes,
    ownerPlaces,
    rate: owners.rate === null ? null : { perSecond: owners.rate, burst },
    values: {
      body: maxBodyBytes,
      json: MAX_JSON_BYTES,
      tensorJson: MAX_VALUES_BYTES,
      url: REQUEST_BOUNDS.urlChars,
      parameters: PARAMETER_BOUNDS.parameters,
      parameter: PARAMETER_BOUNDS.chars,
      pixels: maxPixels,
      unpacked: options.maxUnpackedBytes,
      bodyRate: options.minRate,
      headerTime: HEADER_TIMES.headersTimeout / 1000,
      tokenRate: owners.rate,
      tokenBurst: owners.rate === null ? null : burst,
      tokenJobs: owners.jobs,
      tokenUploads: ownerPlaces,
      tokenStored: MAX_OWNER_UPLOADS,
      tokenPixels: owners.pixels,
      tokenBytes: owners.bytes,
      jobs: queueLimit,
      normalJobs: normal,
      bulkJobs: bulk,
      uploads: queueLimit,
      storedUploads: MAX_UPLOADS,
      pendingHeaders: MAX_PENDING.headers,
      pendingTiles: MAX_PENDING.tiles,
      pendingResults: MAX_PENDING.results,
      disk: quotaBytes,
      diskLow: quotaBytes === null ? null : lowWaterBytes,
      minFree: minFreeBytes,
    },
  };
}

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
  LIMITS[name].unit === 'bytes' ? `(${formatBytes(value)})` : `(${value})`;
