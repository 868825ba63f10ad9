import type { IncomingMessage } from 'node:http';
import type { Principal } from '../access/principal.js';
import type { Jobs } from '../jobs/jobs.js';
import { VisibleJobs } from '../jobs/visible-jobs.js';

const principals = new WeakMap<IncomingMessage, Principal>();

/** Remembers who sends a request, once that is known. */
export function setPrincipal(request: IncomingMessage, principal: Principal): void {
  principals.set(request, principal);
}

/**
 * Who sends a request of an operation that needs a scope.
 * @throws Error for any other request: a bug, never a client's fault
 */
export function principalOf(request: IncomingMessage): Principal {
  const principal = principals.get(request);
  if (!principal) throw new Error('the caller of this request was not checked');
  return principal;
}

/** Who sends a request; null where nobody has to know: for probes and files of the page, and before it is checked. */
export const principalIfKnown = (request: IncomingMessage): Principal | null =>
  principals.get(request) ?? null;

/** The jobs that the caller of a request may see and change. */
export const visibleJobs = (jobs: Jobs, request: IncomingMessage): VisibleJobs =>
  new VisibleJobs(jobs, principalOf(request));
