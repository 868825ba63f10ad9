import type { Logger } from 'pino';
import { RequestError } from '../contract/errors.js';
import { Authenticator } from './authenticator.js';
import { isLoopback } from './loopback.js';
import type { OidcOptions } from './oidc.js';
import { TokenStore } from './token-store.js';

export interface AccessOptions {
  /** The address to listen on. */
  readonly host: string;
  /** The data folder, which has the tokens. */
  readonly data: string;
  readonly isOpen: boolean;
  readonly oidc: OidcOptions | null;
  readonly log: Logger;
}

/**
 * Opens the authenticator of a server, and logs who gets in.
 * @throws RequestError `exposed` if anyone on the network would get in, and `isOpen` does not allow it; `bad-folder`
 *   for tokens of another user
 */
export async function openAccess({ host, data, isOpen, oidc, log }: AccessOptions): Promise<Authenticator> {
  const tokens = new TokenStore(data);
  // Loaded on demand: most servers never need its library.
  const issuer = oidc && new (await import('./oidc.js')).OidcIssuer(oidc);
  const authenticator = new Authenticator({ tokens, issuer, isOpen });
  const isLocal = isLoopback(host.toLowerCase());
  await tokens.list(); // a server that cannot read them would refuse everyone
  if (await authenticator.needsToken()) {
    log.info('every request needs a token');
    return authenticator;
  }
  if (!isLocal && !isOpen) {
    throw new RequestError(
      'exposed',
      `on --host ${host || '""'}, anyone on the network could use this server: make a token first ` +
        `("unseam tokens create --data ${data} --name NAME --scope segment"), configure --oidc-issuer, or allow it with --open`,
    );
  }
  if (isLocal) log.info('no request needs a token: whoever can reach this machine on loopback gets in');
  else log.warn({ host }, '--open: no request needs a token, and anyone on the network gets in');
  return authenticator;
}
