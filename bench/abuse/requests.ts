import type { Random } from './random.js';
import { json, multipart } from './request-bodies.js';
import { headers } from './request-headers.js';
import { method, path, query } from './request-lines.js';
import type { RequestMutation, RequestMutator, Targets } from './request-parts.js';
import { chunked, lengths, silence } from './request-transfers.js';
import { tus } from './request-uploads.js';

const MUTATORS: readonly RequestMutator[] = [
  method,
  path,
  query,
  query,
  headers,
  headers,
  json,
  json,
  multipart,
  tus,
  chunked,
  lengths,
  silence,
];

/** Makes a request that is invalid or unusual in one respect. */
export function mutateRequest(targets: Targets, random: Random): RequestMutation {
  return random.pick(MUTATORS)(targets, random);
}
