import type { Random } from './random.js';
import { json, multipart } from './request-bodies.js';
import { headers, method, path, query } from './request-heads.js';
import type { Make, RequestMutation, Targets } from './request-parts.js';
import { chunked, lengths, silence, tus } from './request-transfers.js';

const WAYS: readonly Make[] = [
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

/** A request that is wrong, or odd, in one way. */
export function mutateRequest(targets: Targets, random: Random): RequestMutation {
  return random.pick(WAYS)(targets, random);
}
