import type { Scope } from '../contract/scopes.js';

/** Who sends a request. */
export interface Principal {
  /** The owner of what it makes: `everyone`, `token:ID`, or `oidc:HASH`. */
  readonly id: string;
  /** For people, in logs and on the page. */
  readonly name: string;
  readonly scopes: readonly Scope[];
  /** The part of the folder of slides that it may read, relative to that folder; null for all of it. */
  readonly slides: string | null;
  /** When its credential expires (ISO 8601); null for never. */
  readonly expiresAt: string | null;
}

/** The owner of what was made where no token was needed. */
export const EVERYONE = 'everyone';

/** Whoever reaches a server that has no tokens: there is nobody to hide anything from. */
export const ANYONE: Principal = {
  id: EVERYONE,
  name: EVERYONE,
  scopes: ['read', 'segment', 'train', 'admin'],
  slides: null,
  expiresAt: null,
};

/** A caller without a token, of a server that has tokens and was told to need none: it sees what `everyone` made. */
export const ANONYMOUS: Principal = { ...ANYONE, scopes: ['read', 'segment', 'train'] };

/** Whether a caller may do what needs a scope: `segment` and `train` include `read`, and `admin` includes all. */
export const allows = ({ scopes }: Pick<Principal, 'scopes'>, needed: Scope): boolean =>
  scopes.includes(needed) || scopes.includes('admin') || (needed === 'read' && scopes.length > 0);

/** Whether a caller may see what an owner has: it is the owner, or an admin. */
export const maySee = (caller: Pick<Principal, 'id' | 'scopes'>, owner: string): boolean =>
  caller.id === owner || allows(caller, 'admin');
