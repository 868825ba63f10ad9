import { dirname } from 'node:path';
import type * as modelErrors from '../../model/errors.js';
import type * as tilingErrors from '../../tiling/errors.js';
import type { RequestError } from './errors.js';

/** How an error is reported: by an HTTP status, an exit code of the command line and a title. */
export interface Problem {
  readonly code: string;
  readonly status: number;
  readonly exitCode: number;
  readonly title: string;
}

/** The codes of a module's error classes, but of those that carry the code of another process. */
type CodesOf<Errors> = {
  [Name in keyof Errors]: Errors[Name] extends abstract new (
    ...args: never
  ) => { readonly code: infer Code extends string }
    ? string extends Code
      ? never
      : Code
    : never;
}[keyof Errors];

/** Codes without a class: of system errors, and of unexpected ones. */
type OwnCode = 'storage-failed' | 'engine-failed' | 'permission-denied' | 'too-many-files' | 'internal';

export type Code =
  | CodesOf<typeof tilingErrors>
  | CodesOf<typeof modelErrors>
  | RequestError['code']
  | OwnCode;

/** Every error code. The compiler refuses a class without a row, and a row without a class. */
const TABLE: Record<Code, Omit<Problem, 'code'>> = {
  'bad-request': { status: 400, exitCode: 2, title: 'Invalid parameter' },
  'bad-tile': { status: 400, exitCode: 2, title: 'Invalid tile size' },
  'bad-data': { status: 400, exitCode: 2, title: 'Invalid training data' },
  'bad-model-config': { status: 400, exitCode: 2, title: 'Invalid network configuration' },
  unauthorized: { status: 401, exitCode: 13, title: 'Authentication required' },
  forbidden: { status: 403, exitCode: 13, title: 'Insufficient scope' },
  'foreign-origin': { status: 403, exitCode: 2, title: 'Cross-origin request refused' },
  'address-too-long': { status: 414, exitCode: 2, title: 'Request URL too long' },
  'header-too-long': { status: 431, exitCode: 2, title: 'Request header too long' },
  'bad-range': { status: 416, exitCode: 2, title: 'Range not satisfiable' },
  'bad-expectation': { status: 417, exitCode: 2, title: 'Unsupported expectation' },
  'wrong-protocol': { status: 412, exitCode: 2, title: 'Unsupported tus version' },
  'wrong-host': { status: 421, exitCode: 2, title: 'Unknown host name' },
  'not-found': { status: 404, exitCode: 3, title: 'Not found' },
  'unknown-model': { status: 404, exitCode: 3, title: 'Unknown model' },
  'bad-method': { status: 405, exitCode: 2, title: 'Method not allowed' },
  'unsupported-output': { status: 406, exitCode: 2, title: 'Unsupported output format' },
  'image-too-large': { status: 413, exitCode: 4, title: 'Image too large' },
  conflict: { status: 409, exitCode: 2, title: 'Conflict with another request' },
  'not-ready': { status: 409, exitCode: 1, title: 'Not ready' },
  stalled: { status: 408, exitCode: 1, title: 'Upload timed out' },
  'too-large': { status: 413, exitCode: 4, title: 'Request body too large' },
  'too-little-memory': { status: 413, exitCode: 4, title: 'Insufficient memory' },
  'unsupported-image': { status: 415, exitCode: 5, title: 'Unsupported image format' },
  'source-unreachable': { status: 422, exitCode: 6, title: 'Image source unreachable' },
  'corrupt-image': { status: 422, exitCode: 6, title: 'Corrupt image' },
  'bad-package': { status: 422, exitCode: 6, title: 'Damaged package' },
  'unsupported-package': { status: 415, exitCode: 5, title: 'Unsupported package' },
  'bad-checkpoint': { status: 500, exitCode: 7, title: 'Damaged model' },
  'bad-onnx-file': { status: 500, exitCode: 7, title: 'Invalid ONNX file' },
  'verification-failed': { status: 500, exitCode: 7, title: 'Verification failed' },
  'unsupported-node': { status: 500, exitCode: 7, title: 'Unsupported network operator' },
  'inexact-model': { status: 500, exitCode: 7, title: 'Inexact model' },
  unquantisable: { status: 500, exitCode: 7, title: 'Network cannot be quantised' },
  'unsupported-kernel': { status: 500, exitCode: 7, title: 'Unsupported operator' },
  'graph-failed': { status: 500, exitCode: 7, title: 'Inference failed' },
  'bad-precision': { status: 500, exitCode: 7, title: 'Unsuitable precision' },
  'engine-failed': { status: 500, exitCode: 7, title: 'Engine failure' },
  'out-of-memory': { status: 503, exitCode: 9, title: 'Out of device memory' },
  'pending-read': { status: 500, exitCode: 7, title: 'Tensor not yet computed' },
  busy: { status: 429, exitCode: 8, title: 'Too many requests' },
  'rate-limited': { status: 429, exitCode: 8, title: 'Request rate exceeded' },
  'too-many-jobs': { status: 429, exitCode: 8, title: 'Too many jobs' },
  'too-many-pixels': { status: 429, exitCode: 8, title: 'Too many pixels in jobs' },
  'device-unavailable': { status: 503, exitCode: 9, title: 'Device unavailable' },
  'engine-lost': { status: 503, exitCode: 9, title: 'Engine unavailable' },
  draining: { status: 503, exitCode: 9, title: 'Server shutting down' },
  'quota-exceeded': { status: 507, exitCode: 10, title: 'Storage quota exceeded' },
  'disk-full': { status: 507, exitCode: 10, title: 'Disk full' },
  'storage-failed': { status: 500, exitCode: 10, title: 'Disk I/O error' },
  'address-in-use': { status: 500, exitCode: 11, title: 'Port already in use' },
  'bad-address': { status: 500, exitCode: 11, title: 'Invalid listen address' },
  'issuer-unreachable': { status: 503, exitCode: 9, title: 'Token issuer unreachable' },
  'bad-certificate': { status: 500, exitCode: 17, title: 'Unusable certificate' },
  exposed: { status: 500, exitCode: 16, title: 'Server open to the network' },
  'bad-folder': { status: 500, exitCode: 12, title: 'Unusable folder' },
  'folder-in-use': { status: 503, exitCode: 12, title: 'Data folder in use' },
  'unreadable-record': { status: 500, exitCode: 12, title: 'Unreadable record' },
  'permission-denied': { status: 500, exitCode: 13, title: 'Permission denied' },
  'too-many-files': { status: 503, exitCode: 14, title: 'Too many open files' },
  'worker-hung': { status: 500, exitCode: 9, title: 'Worker hung repeatedly' },
  'device-killer': { status: 500, exitCode: 9, title: 'Device lost repeatedly' },
  'worker-killer': { status: 500, exitCode: 9, title: 'Worker crashed repeatedly' },
  'setup-failed': { status: 500, exitCode: 15, title: 'Set-up failed' },
  cancelled: { status: 499, exitCode: 130, title: 'Request cancelled' },
  internal: { status: 500, exitCode: 1, title: 'Internal error' },
};

/** Statuses of transient errors: the same request may succeed later. */
export const TRANSIENT: ReadonlySet<number> = new Set([429, 503, 507]);

/** All error codes. */
export const CODES: readonly string[] = Object.keys(TABLE);

const SYSTEM_CODES: ReadonlyMap<string, Code> = new Map([
  ['ENOSPC', 'disk-full'],
  ['EDQUOT', 'disk-full'],
  ['EIO', 'storage-failed'],
  ['ESTALE', 'storage-failed'],
  ['EACCES', 'permission-denied'],
  ['EPERM', 'permission-denied'],
  ['EROFS', 'permission-denied'],
  ['EMFILE', 'too-many-files'],
  ['ENFILE', 'too-many-files'],
  ['EADDRINUSE', 'address-in-use'],
]);

/** What is wrong with a path on the command line. For the server's own files, these errors are unexpected. */
const PATH_CODES: ReadonlyMap<string, { readonly code: Code; readonly detail: string }> = new Map([
  ['ENOENT', { code: 'not-found', detail: 'no such file or folder' }],
  ['ENOTDIR', { code: 'not-found', detail: 'a component of the path is not a folder' }],
  ['EISDIR', { code: 'bad-request', detail: 'it is a folder; a file is required' }],
  ['EEXIST', { code: 'conflict', detail: 'it already exists' }],
  ['EACCES', { code: 'permission-denied', detail: 'permission denied' }],
  ['EPERM', { code: 'permission-denied', detail: 'permission denied' }],
  ['EROFS', { code: 'permission-denied', detail: 'the file system is read-only' }],
]);

/** The suffix of a file while it is being written. */
const PARTIAL = '.partial';

const isCode = (code: string): code is Code => Object.hasOwn(TABLE, code);

/** The stable code of any error; `internal` for an unexpected one. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'internal';
  if (error.name === 'AbortError') return 'cancelled';
  const { code } = error as Error & { readonly code?: unknown };
  if (typeof code !== 'string') return 'internal';
  return isCode(code) ? code : (SYSTEM_CODES.get(code) ?? 'internal');
}

/** How an error with this code is reported; an unknown code as `internal`. */
export function problemOf(code: string): Problem {
  const known = isCode(code) ? code : 'internal';
  return { code: known, ...TABLE[known] };
}

/** The message of an error for clients: without the details of unexpected errors, and the paths of system errors. */
export function detailOf(error: unknown): string {
  const { code, message } = error as Error & { readonly code?: unknown };
  const known = codeOf(error);
  if (known === 'internal') return 'an internal error; see the log of the server';
  return typeof code === 'string' && SYSTEM_CODES.has(code) ? problemOf(known).title : message;
}

/**
 * An error as the command line reports it: its code, and one line. A path is named as the user gave it: without the
 * suffix of partial files, and by its folder where that is missing.
 */
export function messageForUser(error: unknown): { readonly code: string; readonly message: string } {
  const { code, path: given, syscall, message } = error as NodeJS.ErrnoException;
  const isFolderMissing = code === 'ENOENT' && syscall === 'open' && given?.endsWith(PARTIAL);
  const path = isFolderMissing
    ? dirname(given!)
    : given?.endsWith(PARTIAL)
      ? given.slice(0, -PARTIAL.length)
      : given;
  const wrong = path === undefined || code === undefined ? undefined : PATH_CODES.get(code);
  if (wrong) return { code: wrong.code, message: `${path}: ${wrong.detail}` };
  return { code: codeOf(error), message: path === undefined ? message : `${path}: ${message}` };
}
