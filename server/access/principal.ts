import type { Scope } from '../contract/scopes.js';

/** Who sends a request. */
export interface Principal {
  /** The owner of what it makes: `everyone`, `token:ID`, or `oidc:HASH`. */
  readonly id: string;
  /** Display name, for logs and the page. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** The part of the folder of slides that it may read, relative to that folder; null for all of it. */
  readonly slides: string | null;
  /** When its credential expires (ISO 8601); null for never. */
  readonly expiresAt: string | null;
}

/** The owner of what was made where no token was needed. */
export const EVERYONE = 'everyone';

/** Any caller of a server without tokens, with all scopes: there are no other owners to protect. */
export const ANYONE: Principal = {
  id: EVERYONE,
  name: EVERYONE,
  scopes: ['read', 'segment', 'train', 'admin'],
  slides: null,
  expiresAt: null,
};

/** A caller without a token where tokens exist but are optional (`--open`): it sees what `everyone` made. */
export const ANONYMOUS: Principal = { ...ANYONE, scopes: ['read', 'segment', 'train'] };

/** Whether a caller has a scope: `segment` and `train` include `read`, and `admin` includes all. */
export const allows = ({ scopes }: Pick<Principal, 'scopes'>, needed: Scope): boolean =>
  scopes.includes(needed) || scopes.includes('admin') || (needed === 'read' && scopes.length > 0);

/** Whether a caller may see the jobs and uploads of an owner: it is that owner, or an admin. */
export const maySee = (caller: Pick<Principal, 'id' | 'scopes'>, owner: string): boolean =>
  caller.id === owner || allows(caller, 'admin');
