import type { Response } from 'express';
import type { Audit } from '../access/audit.js';
import { isSafe } from '../contract/methods.js';
import type { Operation } from '../contract/operations/operation.js';
import { OPERATIONS } from '../contract/operations.js';
import { jobOf } from './observe-requests.js';
import type { Check } from './operate.js';
import { principalIfKnown } from './principal.js';
import { requestIdOf } from './request-id.js';

/** Has every request that may change something audited when its response ends, refused ones included. */
export const auditBy =
  (audit: Audit): Check =>
  (name) => {
    const { method, changesState = !isSafe(method) }: Operation = OPERATIONS[name];
    if (!changesState) return (_request, _response, next) => next();
    return (request, response, next) => {
      const remote = request.socket.remoteAddress ?? null;
      const named = idOf(request.params); // express forgets it when a handler has thrown
      response.once('close', () => {
        const caller = principalIfKnown(request);
        audit({
          audit: name,
          who: caller?.id ?? null,
          ...(caller && { name: caller.name }),
          target: named ?? madeBy(response),
          status: response.writableFinished ? response.statusCode : 499,
          request: requestIdOf(request),
          remote,
        });
      });
      next();
    };
  };

/** The id in a path: letters, digits and dashes. Anything else that a client sends in its place is not repeated. */
const idOf = ({ id }: Readonly<Record<string, unknown>>): string | null =>
  typeof id === 'string' && /^[\w-]{1,64}$/.test(id) ? id : null;

/** The id of what a request created: its job, or the last part of `Location`. */
function madeBy(response: Response): string | null {
  const location = response.get('Location');
  return jobOf(response) ?? (location === undefined ? null : location.slice(location.lastIndexOf('/') + 1));
}
