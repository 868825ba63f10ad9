import type { IncomingMessage } from 'node:http';
import type { Principal } from '../access/principal.js';
import { codeOf } from '../contract/problems.js';
import type { Jobs } from '../jobs/jobs.js';
import { VisibleJobs } from '../jobs/visible-jobs.js';

const principals = new WeakMap<IncomingMessage, Principal>();
const checks = new WeakMap<IncomingMessage, () => Promise<Principal>>();

/**
 * Stores the caller of a request, once it is identified.
 * @param check identifies the caller again
 */
export function setPrincipal(
  request: IncomingMessage,
  principal: Principal,
  check: () => Promise<Principal>,
): void {
  principals.set(request, principal);
  checks.set(request, check);
}

/** Whether the caller of a request would still be admitted: for responses that last. */
export async function isStillKnown(request: IncomingMessage): Promise<boolean> {
  try {
    await checks.get(request)?.();
    return true;
  } catch (error) {
    return codeOf(error) !== 'unauthorized'; // if it cannot be checked at present, it is checked again later
  }
}

/**
 * The caller of an operation that needs a scope.
 * @throws Error for any other request: a bug, never a client's fault
 */
export function principalOf(request: IncomingMessage): Principal {
  const principal = principals.get(request);
  if (!principal) throw new Error('the caller of this request was not checked');
  return principal;
}

/** The caller of a request; null for public operations, and before it is identified. */
export const principalIfKnown = (request: IncomingMessage): Principal | null =>
  principals.get(request) ?? null;

/** The jobs that the caller of a request may see and change. */
export const visibleJobs = (jobs: Jobs, request: IncomingMessage): VisibleJobs =>
  new VisibleJobs(jobs, principalOf(request));
