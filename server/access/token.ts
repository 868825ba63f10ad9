import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { TOKEN_ID } from '../contract/schemas/access.js';
import { SCOPES, type Scope } from '../contract/scopes.js';

/** Bits of a secret: more than anyone can try, so that a fast hash of it is enough. */
const SECRET_BYTES = 32;
const TOKEN = /^unseam_([0-9a-z]{12})_([\w-]{43})$/;

const time = z.iso.datetime();

/** The stored record of a token, from which its secret cannot be computed. */
export const tokenSchema = z.strictObject({
  id: z.string().regex(TOKEN_ID),
  name: z.string(),
  scopes: z.array(z.enum(SCOPES)).min(1),
  /** The part of the folder of slides that it may read; null for all. Earlier versions did not write it. */
  slides: z.string().nullable().default(null),
  /** SHA-256 of the secret, in hexadecimal digits. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: time,
  expiresAt: time.nullable(),
  revokedAt: time.nullable(),
});
export type TokenRecord = z.output<typeof tokenSchema>;

/** Options of a new token. */
export interface TokenRequest {
  /** Display name. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** The part of the folder of slides that it may read, relative to that folder. Default: all of it. */
  readonly slides?: string | null;
  /** How long it is valid, in ms; null for no expiry. */
  readonly lifetimeMs: number | null;
}

/** The parts of what a client presents. */
export interface PresentedToken {
  readonly id: string;
  readonly secret: string;
}

/** @returns null for text that is not a token of this server's form */
export function parseToken(text: string): PresentedToken | null {
  const [, id, secret] = TOKEN.exec(text) ?? [];
  return id !== undefined && secret !== undefined ? { id, secret } : null;
}

/** Makes a token: the record to store, and the text that its client presents, which is never stored. */
export function makeToken(
  { name, scopes, slides = null, lifetimeMs }: TokenRequest,
  now: number,
): { readonly record: TokenRecord; readonly text: string } {
  // 62 bits: no two are the same, and the store would refuse the second.
  const id = BigInt(`0x${randomBytes(8).toString('hex')}`)
    .toString(36)
    .padStart(12, '0')
    .slice(-12);
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  const record = {
    id,
    name,
    scopes: SCOPES.filter((scope) => scopes.includes(scope)),
    slides,
    sha256: digestOf(secret).toString('hex'),
    createdAt: new Date(now).toISOString(),
    expiresAt: lifetimeMs === null ? null : new Date(now + lifetimeMs).toISOString(),
    revokedAt: null,
  };
  return { record, text: `unseam_${id}_${secret}` };
}

/** Stands in for the hash of an unknown token, so that the comparison takes the same time. */
const NO_DIGEST = randomBytes(32).toString('hex');

/** Whether a secret is that of a token, in a time that does not depend on either. */
export function isSecretOf(secret: string, record: Pick<TokenRecord, 'sha256'> | null): boolean {
  const expected = Buffer.from(record?.sha256 ?? NO_DIGEST, 'hex');
  return timingSafeEqual(digestOf(secret), expected) && record !== null;
}

const digestOf = (secret: string): Buffer => createHash('sha256').update(secret).digest();
