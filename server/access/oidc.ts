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
  /** Timeout of a request to the issuer. Default 5000. */
  readonly timeoutMs: number;
  /** Keys are requested again after this long, so that withdrawn ones are forgotten. Default ten minutes. */
  readonly maxAgeMs: number;
  /** An unknown key has them requested again, but not sooner than this. Default 30,000. */
  readonly cooldownMs: number;
  /** Pause after a failed request, before the next one to the issuer. Default 5000. */
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
/** The end of the year 9999: dates are not written beyond it. */
const MAX_EXPIRY_S = Date.UTC(10_000, 0) / 1000 - 1;
/** Prefix of our scopes: other programs may use the same words. */
const PREFIX = 'unseam:';

const keysSchema = z.looseObject({ keys: z.array(z.looseObject({})) });
const discoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

/** The issuer's keys are unavailable at present. Every other error is the fault of the token. */
class KeysUnavailable extends Error {}

/** Checks the tokens of an OpenID Connect provider by its published keys, and requests nothing else of it. */
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
   * The caller that a token names; null for text that is not a JWT.
   * @throws RequestError `unauthorized` for an invalid one; `issuer-unreachable` if the keys are unavailable
   */
  async check(text: string): Promise<Principal | null> {
    if (text.split('.').length !== 3) return null;
    const { issuer, audience } = this.options;
    const verified = jwtVerify(text, (header, token) => this.#keyOf(header, token), {
      issuer,
      audience,
      algorithms: ALGORITHMS,
      clockTolerance: CLOCK_TOLERANCE_S,
      requiredClaims: ['exp', 'sub'],
    });
    const { payload } = await verified.catch((error: unknown) => {
      throw refusalOf(error);
    });
    return this.#principalOf(payload);
  }

  /** @throws KeysUnavailable */
  async #keyOf(...token: Parameters<RemoteJWKSet>): Promise<Awaited<ReturnType<RemoteJWKSet>>> {
    const opened = (this.#keys ??= this.#openKeys());
    try {
      const keys = await opened;
      return await keys(...token);
    } catch (error) {
      const isFresh = await opened.then(
        (keys) => keys.fresh,
        () => false,
      );
      // The next request discovers them anew. Known keys remain in use if an unknown one cannot be requested.
      if (error instanceof KeysUnavailable && !isFresh && this.#keys === opened) this.#keys = null;
      throw error;
    }
  }

  async #openKeys(): Promise<RemoteJWKSet> {
    const { timeoutMs, maxAgeMs, cooldownMs } = this.#times;
    const address = this.options.jwks ?? (await this.#discover());
    return createRemoteJWKSet(new URL(address), {
      timeoutDuration: timeoutMs,
      cacheMaxAge: maxAgeMs,
      cooldownDuration: cooldownMs,
      [customFetch]: async (url, { signal }) => Response.json(await this.#fetch(url, signal, keysSchema)),
    });
  }

  /** The address of the keys, as the issuer publishes it (OpenID Connect Discovery 1.0, section 4). */
  async #discover(): Promise<string> {
    const { issuer } = this.options;
    const address = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const found = await this.#fetch(address, AbortSignal.timeout(this.#times.timeoutMs), discoverySchema);
    if (found.issuer !== issuer)
      throw new KeysUnavailable(`${address} belongs to the issuer ${found.issuer.slice(0, 200)}`);
    if (!isSecure(found.jwks_uri))
      throw new KeysUnavailable('the jwks_uri of the issuer is not an https address');
    return found.jwks_uri;
  }

  /** @throws KeysUnavailable, whatever is wrong with the issuer, its connection or its response */
  async #fetch<Schema extends z.ZodType>(
    url: string,
    signal: AbortSignal,
    schema: Schema,
  ): Promise<z.output<Schema>> {
    if (performance.now() - this.#failedAt < this.#times.retryMs)
      throw new KeysUnavailable('it failed a moment ago');
    try {
      const response = await fetchBounded(url, signal);
      return schema.parse(await response.json());
    } catch (cause) {
      this.#failedAt = performance.now();
      throw new KeysUnavailable(`${url} has no such document`, { cause });
    }
  }

  #principalOf(payload: JWTPayload): Principal {
    const { iss, sub, exp } = payload;
    if (exp! > MAX_EXPIRY_S) throw refusedClaim('exp');
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

/** A claim by its name, or by the path of one in another: some names contain dots. */
function claimOf(payload: JWTPayload, name: string): unknown {
  if (Object.hasOwn(payload, name)) return payload[name];
  let value: unknown = payload;
  for (const part of name.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** The scopes in a claim: `unseam:segment`, in a list or in a text with spaces. All others belong to other programs. */
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

function refusalOf(error: unknown): RequestError {
  if (error instanceof KeysUnavailable)
    return new RequestError(
      'issuer-unreachable',
      "the keys of the tokens' issuer are unavailable at present",
      {
        cause: error,
      },
    );
  const { code, claim } = error as { readonly code?: string; readonly claim?: string };
  if (code === 'ERR_JWT_EXPIRED') return new RequestError('unauthorized', 'the token has expired');
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') return refusedClaim(claim);
  return new RequestError('unauthorized', 'the token is not signed by a key of its issuer', { cause: error });
}

const refusedClaim = (claim: string | undefined): RequestError =>
  new RequestError('unauthorized', `the token's claim "${claim}" is not what this server needs`);

function isSecure(address: string): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, hostname } = new URL(address);
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}

function requireSecure(what: string, address: string): void {
  if (isSecure(address)) return;
  throw new RequestError(
    'bad-request',
    `${what} must be an https address, and is "${address.slice(0, 200)}"`,
  );
}
