import type { Request } from 'express';
import type { Authenticator } from '../../access/authenticator.js';
import { RequestError } from '../../contract/errors.js';
import type { Session } from '../../contract/schemas/access.js';
import { REALM } from '../authorize.js';
import { credentialOf, noSessionCookies, sessionCookie } from '../credential.js';
import type { Operate } from '../operate.js';
import { principalOf } from '../principal.js';

/**
 * `/v1/session`: the caller of the request. The page signs in with a token, which the browser keeps in a cookie until
 * it is closed: the page itself stores nothing, and no address has it.
 */
export function sessionRoutes(operate: Operate, authenticator: Authenticator): void {
  const sessionOf = async (request: Request): Promise<Session> => {
    const { id, name, scopes, expiresAt } = principalOf(request);
    return { id, name, scopes, expiresAt, needsToken: await authenticator.needsToken() };
  };

  operate('getSession', async (request, response) => {
    response.json(await sessionOf(request));
  });

  operate('signIn', async (request, response) => {
    const credential = credentialOf(request);
    if (credential === null) {
      response.set('WWW-Authenticate', REALM);
      throw new RequestError('unauthorized', 'sign in with a token: send "Authorization: Bearer TOKEN"');
    }
    response.set('Set-Cookie', sessionCookie(request, credential.token));
    response.json(await sessionOf(request));
  });

  operate('signOut', (request, response) => {
    response.set('Set-Cookie', noSessionCookies(request)).status(204).end();
  });
}
