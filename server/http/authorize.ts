import type { RequestHandler } from 'express';
import type { Authenticator } from '../access/authenticator.js';
import { allows, type Principal } from '../access/principal.js';
import { RequestError } from '../contract/errors.js';
import { OPERATIONS } from '../contract/operations.js';
import { codeOf } from '../contract/problems.js';
import { type Credential, credentialOf } from './credential.js';
import type { Check } from './operate.js';
import { setPrincipal } from './principal.js';

/** What `WWW-Authenticate` says to who presents nothing. */
export const REALM = 'Bearer realm="unseam"';

/**
 * Checks, before the handlers of an operation and before its body is received, that the caller has its scope. Refusals
 * say by `WWW-Authenticate` what is missing (RFC 6750, section 3).
 */
export const authorizeBy =
  (authenticator: Pick<Authenticator, 'identify' | 'needsToken'>): Check =>
  (name) => {
    const { scope } = OPERATIONS[name];
    if (scope === null) return admitAll;
    return async (request, response, next) => {
      response.set({ 'Cache-Control': 'private, no-cache', Vary: 'Authorization, Cookie' });
      let presented: Credential | null = null;
      try {
        presented = credentialOf(request);
        const check = () => identify(authenticator, presented);
        const principal = await check();
        setPrincipal(request, principal, check);
        if (!allows(principal, scope)) {
          response.set('WWW-Authenticate', `${REALM}, error="insufficient_scope", scope="${scope}"`);
          throw new RequestError(
            'forbidden',
            `this needs the scope "${scope}"; "${principal.name}" has ${principal.scopes.join(', ')}`,
          );
        }
      } catch (error) {
        if (codeOf(error) === 'unauthorized')
          response.set('WWW-Authenticate', presented === null ? REALM : `${REALM}, error="invalid_token"`);
        throw error;
      }
      next();
    };
  };

/**
 * Identifies a caller. Browsers keep sending the cookie of an earlier server: where no token is needed, an invalid
 * cookie is ignored.
 */
async function identify(
  authenticator: Pick<Authenticator, 'identify' | 'needsToken'>,
  credential: Credential | null,
): Promise<Principal> {
  try {
    return await authenticator.identify(credential?.token ?? null);
  } catch (error) {
    if (!credential?.isCookie || codeOf(error) !== 'unauthorized' || (await authenticator.needsToken()))
      throw error;
    return authenticator.identify(null);
  }
}

/** The check of public operations: probes, and the page's own files. */
const admitAll: RequestHandler = (_request, _response, next) => next();

/** The check of a server that has public operations only. */
export const publicOnly: Check = (name) => {
  if (OPERATIONS[name].scope !== null) throw new Error(`the operation ${name} needs a scope`);
  return admitAll;
};
