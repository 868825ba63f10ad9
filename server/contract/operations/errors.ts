import { isSafe } from '../methods.js';
import type { Code } from '../problems.js';
import type { Operation } from './operation.js';

/** Errors of any request. */
const EVERY: readonly Code[] = [
  'bad-request',
  'address-too-long',
  'header-too-long',
  'bad-expectation',
  'wrong-host',
  'internal',
  'permission-denied',
  'storage-failed',
  'too-many-files',
  'draining',
  'folder-in-use',
  'device-unavailable',
];

/** Errors of a model that a request names. */
export const OF_MODELS = ['unknown-model', 'bad-checkpoint'] as const satisfies Code[];
/** Errors of an image that is received. */
export const OF_BODIES = [
  'stalled',
  'too-large',
  'busy',
  'too-many-jobs',
  'too-many-pixels',
  'quota-exceeded',
  'disk-full',
  'cancelled',
] as const satisfies Code[];
/** Errors of an image that is opened and planned. */
export const OF_IMAGES = [
  'bad-tile',
  'not-found',
  'image-too-large',
  'too-little-memory',
  'unsupported-image',
  'corrupt-image',
  'source-unreachable',
  'engine-lost',
  'inexact-model',
  'bad-model-config',
] as const satisfies Code[];
/** Errors of running a network. */
export const OF_ENGINES = [
  'out-of-memory',
  'graph-failed',
  'unsupported-kernel',
  'bad-precision',
  'engine-failed',
  'pending-read',
  'device-killer',
  'worker-hung',
  'worker-killer',
] as const satisfies Code[];

/** Errors of callers. */
const OF_CALLERS: readonly Code[] = ['unauthorized', 'forbidden', 'rate-limited'];

/** Every code that an operation can give. */
export function errorsOf({
  method,
  scope,
  errors,
}: Pick<Operation, 'method' | 'scope' | 'errors'>): ReadonlySet<Code> {
  const origin: readonly Code[] = isSafe(method) ? [] : ['foreign-origin'];
  return new Set([...EVERY, ...(scope === null ? [] : OF_CALLERS), ...origin, ...errors]);
}
