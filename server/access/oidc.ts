import { createHash } from 'node:crypto';
import { createRemoteJWKSet, customFetch, type JWTPayload, jwtVerify, type RemoteJWKSet } from 'jose';
import { z } from 'zod';
import { RequestError } from '../contract/errors.js';
import { SCOPES, type Scope } from '../contract/scopes.js';
import type { TokenIssuer } from './authenticator.js';
import { fetchBounded } from './fetch-bounded.js';
import { isLoopback } from './loopback.js';
import type { Principal } from './principal.js';

export interface OidcOptions {
  /** The `iss` of tokens, by which its keys are discovered. `https`, or `http` on loopback. */
  readonly issuer: string;
  /** The `aud` of tokens: what the issuer calls this server. */
  readonly audience: string;
  /** The address of the issuer's keys; null for the one that it publishes. */
  readonly jwks: string | null;
  /** The claim that lists scopes, such as `scope`, or `realm_access.roles`. */
  readonly scopesClaim: string;
}

/** Times in ms. */
export interface OidcTimes {
  /** Of a request to the issuer. Default 5000. */
  readonly timeoutMs: number;
  /** Keys are requested again after this long, so that withdrawn ones are forgotten. Default ten minutes. */
  readonly maxAgeMs: number;
  /** An unknown key has them requested again, but not sooner than this. Default 30,000. */
  readonly cooldownMs: number;
  /** After a failure, the issuer is left alone for this long. Default 5000. */
  readonly retryMs: number;
}
const TIMES: OidcTimes = { timeoutMs: 5000, maxAgeMs: 600_000, cooldownMs: 30_000, retryMs: 5000 };

/** Signatures by a private key alone: with a shared secret, whoever can check a token could make one. */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
/** How far clocks may differ, in seconds. */
const CLOCK_TOLERANCE_S = 60;
/** Scopes of other programs may have the same words: ours begin so. */
const PREFIX = 'unseam:';

const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

/** Checks the tokens of an OpenID Connect provider by its published keys, which is all that it is asked for. */
export class OidcIssuer implements TokenIssuer {
  readonly #times: OidcTimes;
  #keys: Promise<RemoteJWKSet> | null = null;
  #failedAt = Number.NEGATIVE_INFINITY;

  /** @throws RequestError `bad-request` for addresses that could be tampered with on their way */
  constructor(
    private readonly options: OidcOptions,
    times: Partial<OidcTimes> = {},
  ) {
    this.#times = { ...TIMES, ...times };
    requireSecure('--oidc-issuer', options.issuer);
    if (options.jwks !== null) requireSecure('--oidc-jwks', options.jwks);
  }

  /**
   * The caller that a token names; null for what is no JWT.
   * @throws RequestError `unauthorized` for an invalid one; `issuer-unreachable` where the keys cannot be had
   */
  async check(text: string): Promise<Principal | null> {
    if (text.split('.').length !== 3) return null;
    const { issuer, audience } = this.options;
    try {
      const keys = await (this.#keys ??= this.#openKeys());
      const { payload } = await jwtVerify(text, keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_S,
        requiredClaims: ['exp', 'sub'],
      });
      return this.#principalOf(payload);
    } catch (error) {
      throw this.#refusalOf(error);
    }
  }

  async #openKeys(): Promise<RemoteJWKSet> {
    const { timeoutMs, maxAgeMs, cooldownMs } = this.#times;
    const address = this.options.jwks ?? (await this.#discover());
    return createRemoteJWKSet(new URL(address), {
      timeoutDuration: timeoutMs,
      cacheMaxAge: maxAgeMs,
      cooldownDuration: cooldownMs,
      [customFetch]: (url, { signal }) => this.#fetch(url, signal),
    });
  }

  /** The address of the keys, as the issuer publishes it (OpenID Connect Discovery 1.0, section 4). */
  async #discover(): Promise<string> {
    const { issuer } = this.options;
    const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const response = await this.#fetch(address, AbortSignal.timeout(this.#times.timeoutMs));
    const found = discoverySchema.parse(await response.json());
    if (found.issuer !== issuer) throw new Error(`${address} is of the issuer ${found.issuer.slice(0, 200)}`);
    requireSecure('the jwks_uri of the issuer', found.jwks_uri);
    return found.jwks_uri;
  }

  async #fetch(url: string, signal: AbortSignal): Promise<Response> {
    if (performance.now() - this.#failedAt < this.#times.retryMs) throw new Error('it failed a moment ago');
    try {
      return await fetchBounded(url, signal);
    } catch (error) {
      this.#failedAt = performance.now();
      throw error;
    }
  }

  #refusalOf(error: unknown): RequestError {
    if (error instanceof RequestError && error.code === 'unauthorized') return error;
    const { code = '', claim } = error as { readonly code?: string; readonly claim?: string };
    if (code === 'ERR_JWT_EXPIRED') return new RequestError('unauthorized', 'the token has expired');
    if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED')
      return new RequestError('unauthorized', `the token's claim "${claim}" is not what this server needs`);
    if (/^ERR_(JWT|JWS|JOSE_ALG|JOSE_NOT_SUPPORTED|JWKS_NO_MATCHING|JWKS_MULTIPLE)/.test(code))
      return new RequestError('unauthorized', 'the token is not signed by a key of its issuer', {
        cause: error,
      });
    this.#keys = null; // the next request discovers them anew
    return new RequestError('issuer-unreachable', "the keys of the tokens' issuer cannot be had at present", {
      cause: error,
    });
  }

  #principalOf(payload: JWTPayload): Principal {
    const { iss, sub, exp } = payload;
    const hash = createHash('sha256').update(`${iss}\0${sub}`).digest('hex').slice(0, 32);
    return {
      id: `oidc:${hash}`,
      name: nameOf(payload),
      scopes: scopesIn(claimOf(payload, this.options.scopesClaim)),
      slides: null,
      expiresAt: new Date(exp! * 1000).toISOString(),
    };
  }
}

/** A claim by its name, or by the path of one in another: some names have points. */
function claimOf(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let value: unknown = payload;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** The scopes in a claim: `unseam:segment`, in a list or in a text with spaces. Everything else is of other programs. */
function scopesIn(claim: unknown): Scope[] {
  const words: unknown[] = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
  return SCOPES.filter((scope) => words.includes(PREFIX + scope));
}

/** What people call the caller, on one line. */
function nameOf({ preferred_username, email, name, sub }: JWTPayload): string {
  const known = [preferred_username, email, name, sub].find(
    (each) => typeof each === 'string' && each !== '',
  );
  return String(known).replaceAll(/\p{C}/gu, ' ').slice(0, 100);
}

function requireSecure(what: string, address: string): void {
  const { protocol, hostname } = URL.canParse(address) ? new URL(address) : { protocol: '', hostname: '' };
  if (protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname))) return;
  throw new RequestError(
    'bad-request',
    `${what} must be an https address, and is "${address.slice(0, 200)}"`,
  );
}
