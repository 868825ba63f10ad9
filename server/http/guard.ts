import { isIPv4 } from 'node:net';
import type { Request, RequestHandler } from 'express';
import { RequestError } from '../contract/errors.js';

/** Who watches a server knows it by its address, whatever that is. */
export const WATCHED: readonly string[] = ['/livez', '/readyz', '/metrics'];
const SAFE: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

/** By which names a server may be addressed. */
export interface HostPolicy {
  readonly accepts: (name: string) => boolean;
  /** Names that were given, under which a proxy may publish the server: their pages may send, too. */
  readonly publishes: (name: string) => boolean;
}

/**
 * The names of a server: those given, and loopback's own, which nobody else's page can have. Without any
 * given, a server on loopback has loopback's names alone, so that a page whose name is made to point here
 * (DNS rebinding) is refused; one that listens to a network is known by names that it cannot know.
 *
 * @param bound the address that is listened on
 * @param given `NAME`, `*.NAME` for all below it, or `*` for any; null where none are
 */
export function hostPolicy(bound: string, given: readonly string[] | null): HostPolicy {
  const patterns = given ?? [];
  const publishes = (name: string) => patterns.some((pattern) => isLike(name, pattern));
  const any = given === null && !isLoopback(bound);
  return { accepts: (name) => any || isLoopback(name) || publishes(name), publishes };
}

/** The name in a Host header or in the host of an address, without its port; null for what is none. */
export function nameOfHost(host: string): string | null {
  const match = /^(\[[0-9a-f:.]{2,45}\]|[^\s:/?#@[\]\\]{1,253})(?::\d{1,5})?$/i.exec(host);
  return match ? match[1]!.toLowerCase().replace(/\.$/, '') : null;
}

/**
 * Refuses requests that name another server, and requests of other sites' pages that would change
 * something here: a browser on the same machine or network would carry them out for anyone.
 */
export function guard(hosts: HostPolicy): RequestHandler {
  return (request, _response, next) => {
    const { host } = request.headers;
    if (host === undefined && request.httpVersion === '1.1') {
      throw new RequestError('bad-request', 'the request has no Host');
    }
    if (WATCHED.includes(request.path)) return next();
    const name = nameOfHost(host ?? '');
    if (name === null || !hosts.accepts(name)) {
      throw new RequestError(
        'wrong-host',
        `this server is not "${(host ?? '').slice(0, 100)}": --allow-host names what it is`,
      );
    }
    if (!SAFE.includes(request.method) && isForeign(request, hosts)) {
      throw new RequestError('foreign-origin', 'pages of other sites may change nothing on this server');
    }
    next();
  };
}

/**
 * Whether a browser sends this for a page of another site. Sec-Fetch-Site is the browser's own word, and
 * holds behind proxies that change the Host; where it is missing, Origin is compared. Neither comes from
 * what is no browser.
 */
function isForeign(request: Request, { publishes }: HostPolicy): boolean {
  const site = request.get('Sec-Fetch-Site');
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  const origin = request.get('Origin');
  if (origin === undefined) return false;
  if (!/^https?:\/\//.test(origin) || !URL.canParse(origin)) return true; // `null`, too: a sandboxed page
  const { protocol, host } = new URL(origin);
  const own = `${protocol}//${request.headers.host}`;
  return !(URL.canParse(own) && new URL(own).host === host) && !publishes(nameOfHost(host) ?? '');
}

const isLoopback = (name: string): boolean =>
  name === 'localhost' ||
  name.endsWith('.localhost') ||
  (isIPv4(name) && name.startsWith('127.')) ||
  name === '::1' ||
  name === '[::1]';

function isLike(name: string, pattern: string): boolean {
  if (pattern === '*') return true;
  return pattern.startsWith('*.') ? name.endsWith(pattern.slice(1)) : name === pattern;
}
