import type { Request, RequestHandler } from 'express';
import { isLoopback } from '../access/loopback.js';
import { RequestError } from '../contract/errors.js';
import { isSafe } from '../contract/methods.js';

/** Paths of probes and metrics, which any host name reaches: orchestrators address servers by IP. */
export const PROBES: readonly string[] = [
  '/livez',
  '/readyz',
  '/v2/health/live',
  '/v2/health/ready',
  '/metrics',
];

/** Host names that a server may be addressed by. */
export interface HostPolicy {
  readonly accepts: (name: string) => boolean;
  /** Names that were configured, under which a proxy may publish the server: their pages may send requests, too. */
  readonly publishes: (name: string) => boolean;
}

/**
 * The host names of a server: those configured, and those of loopback, which no foreign page can have. Without any
 * configured, a server on loopback accepts only loopback's names, so that a page whose name resolves to loopback (DNS
 * rebinding) is refused; a server on a network accepts any name, as it cannot know its own.
 *
 * @param bound the address that the server listens on
 * @param given `NAME`, `*.NAME` for all subdomains, or `*` for any; null for none
 */
export function hostPolicy(bound: string, given: readonly string[] | null): HostPolicy {
  const patterns = given ?? [];
  const publishes = (name: string) => patterns.some((pattern) => isLike(name, pattern));
  const any = given === null && !isLoopback(bound);
  return { accepts: (name) => any || isLoopback(name) || publishes(name), publishes };
}

/** The name in a Host header or in the host of a URL, without its port; null if it is malformed. */
export function nameOfHost(host: string): string | null {
  const match = /^(\[[0-9a-f:.]{2,45}\]|[^\s:/?#@[\]\\]{1,253})(?::\d{1,5})?$/i.exec(host);
  return match ? match[1]!.toLowerCase().replace(/\.$/, '') : null;
}

/**
 * Refuses requests to other host names, and unsafe requests from pages of other sites: a browser on the same machine
 * or network would send them on behalf of any page.
 */
export function guard(hosts: HostPolicy): RequestHandler {
  return (request, _response, next) => {
    const { host } = request.headers;
    if (host === undefined && request.httpVersion === '1.1') {
      throw new RequestError('bad-request', 'the request has no Host header');
    }
    if (PROBES.includes(request.path)) return next();
    const name = nameOfHost(host ?? '');
    if (name === null || !hosts.accepts(name)) {
      throw new RequestError(
        'wrong-host',
        `this server is not "${(host ?? '').slice(0, 100)}"; --allow-host adds names`,
      );
    }
    if (!isSafe(request.method) && isForeign(request, hosts)) {
      throw new RequestError('foreign-origin', 'pages of other sites may not change anything on this server');
    }
    next();
  };
}

/**
 * Whether a browser sends this request for a page of another site. Sec-Fetch-Site is set by the browser, and holds
 * behind proxies that rewrite Host; without it, Origin is compared. Clients other than browsers send neither.
 */
function isForeign(request: Request, { publishes }: HostPolicy): boolean {
  const site = request.get('Sec-Fetch-Site');
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const origin = request.get('Origin');
  if (origin === undefined) return false;
  if (!/^https?:\/\//.test(origin) || !URL.canParse(origin)) return true; // `null`: a sandboxed page
  const { protocol, host } = new URL(origin);
  const own = `${protocol}//${request.headers.host}`;
  return !(URL.canParse(own) && new URL(own).host === host) && !publishes(nameOfHost(host) ?? '');
}

function isLike(name: string, pattern: string): boolean {
  if (pattern === '*') return true;
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern;
}
