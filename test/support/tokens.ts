import { TokenStore } from '../../server/access/token-store.js';
import type { Scope } from '../../server/contract/scopes.js';

/** Makes a token of a data folder, as `unseam tokens create` does. Returns its text. */
export async function makeToken(
  data: string,
  name: string,
  scopes: readonly Scope[] = ['segment'],
  lifetimeMs: number | null = null,
): Promise<string> {
  const { text } = await new TokenStore(data).create({ name, scopes, lifetimeMs });
  return text;
}

/** The header that presents a token. */
export const bearer = (token: string): { readonly authorization: string } => ({
  authorization: `Bearer ${token}`,
});
