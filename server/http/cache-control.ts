import type { Request, Response } from 'express';

/** What became of a request in the cache of results: why it was not looked up, or whether it was found. */
export type CacheOutcome = 'hit' | 'miss' | 'request' | 'bypass';

/**
 * What `Cache-Control` of a request permits (RFC 9111, section 5.2.1): `no-cache` has it computed, `no-store` has its
 * results not given to others.
 */
export function cachingOf(request: Request): { readonly mayReuse: boolean; readonly mayStore: boolean } {
  const directives = (request.get('Cache-Control') ?? '').split(',').map((each) => each.trim().toLowerCase());
  return { mayReuse: !directives.includes('no-cache'), mayStore: !directives.includes('no-store') };
}

/** Sets `Cache-Status` (RFC 9211): `fwd` says why the results were computed. */
export function setCacheStatus(response: Response, outcome: CacheOutcome): void {
  response.set('Cache-Status', outcome === 'hit' ? 'unseam; hit' : `unseam; fwd=${outcome}`);
}
