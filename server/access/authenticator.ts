import { RequestError } from '../contract/errors.js';
import type { TokenView } from '../contract/schemas/access.js';
import { ANONYMOUS, ANYONE, type Principal } from './principal.js';
import { parseToken } from './token.js';
import type { TokenStore } from './token-store.js';

/** Checks tokens that this server did not issue. */
export interface TokenIssuer {
  /**
   * @returns null for a token of another issuer
   * @throws RequestError `unauthorized` for an invalid one; another code if it cannot be checked at present
   */
  check(text: string): Promise<Principal | null>;
}

export interface AuthenticatorOptions {
  readonly tokens: TokenStore;
  /** Default: none. */
  readonly issuer?: TokenIssuer | null;
  /** Whether requests without a token are served although there are tokens (`--open`). */
  readonly isOpen: boolean;
}

/** Identifies callers by the tokens that their requests present. */
export class Authenticator {
  readonly tokens: TokenStore;

  constructor(private readonly options: AuthenticatorOptions) {
    this.tokens = options.tokens;
  }

  /** Whether a request without a token is refused. */
  async needsToken(): Promise<boolean> {
    const { tokens, issuer, isOpen } = this.options;
    return !isOpen && (Boolean(issuer) || (await tokens.hasTokens()));
  }

  /**
   * The caller that a token stands for; null for a request that presents none.
   * @throws RequestError `unauthorized` for a missing or an invalid token, even where none is needed
   */
  async identify(text: string | null): Promise<Principal> {
    const { tokens, issuer = null } = this.options;
    if (text === null) {
      if (await this.needsToken())
        throw new RequestError(
          'unauthorized',
          'this server needs a token: send "Authorization: Bearer TOKEN"',
        );
      return issuer !== null || (await tokens.hasTokens()) ? ANONYMOUS : ANYONE;
    }
    const presented = parseToken(text);
    if (presented === null) {
      const principal = await issuer?.check(text);
      if (principal) return principal;
      const orIssued = issuer === null ? '' : ' or a token of the configured issuer';
      throw new RequestError('unauthorized', `unknown token: expected unseam_ID_SECRET${orIssued}`);
    }
    const token = await tokens.check(presented);
    if (token === null) throw new RequestError('unauthorized', 'this server has no such token');
    return principalOfToken(token);
  }
}

const principalOfToken = ({ id, name, scopes, slides, expiresAt }: TokenView): Principal => ({
  id: `token:${id}`,
  name,
  scopes,
  slides,
  expiresAt,
});
