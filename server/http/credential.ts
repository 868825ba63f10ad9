import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { RequestError } from '../contract/errors.js';

/** The name of the page's cookie. Over TLS, its prefix makes browsers refuse it from other hosts. */
const COOKIE = 'unseam';
const SECURE_COOKIE = `__Host-${COOKIE}`;
/** Browsers drop larger cookies, silently. */
const MAX_COOKIE_CHARS = 4000;
/** Characters of a token (RFC 6750, `b64token`), none of which a cookie has to quote. */
const TOKEN_TEXT = /^[\w.~+/-]+=*$/;

/** The token that a request presents. */
export interface Credential {
  readonly token: string;
  /** Whether it is in a cookie, which browsers send in any case, valid or not. */
  readonly isCookie: boolean;
}

/**
 * The token that a request presents: in `Authorization`, or in the cookie of a page that signed in; null for none.
 * @throws RequestError `unauthorized` for an `Authorization` of another scheme
 */
export function credentialOf(request: IncomingMessage): Credential | null {
  const { authorization, cookie } = request.headers;
  if (authorization === undefined) {
    const token = cookie === undefined ? null : tokenInCookies(cookie);
    return token === null ? null : { token, isCookie: true };
  }
  const [, token] = /^bearer +(\S+) *$/i.exec(authorization) ?? [];
  if (token === undefined || !TOKEN_TEXT.test(token))
    throw new RequestError('unauthorized', 'expected "Authorization: Bearer TOKEN"');
  return { token, isCookie: false };
}

function tokenInCookies(header: string): string | null {
  const cookies = new Map(header.split(';').map((pair) => splitAt(pair.trim(), pair.trim().indexOf('='))));
  return cookies.get(SECURE_COOKIE) || cookies.get(COOKIE) || null;
}

const splitAt = (text: string, at: number): [string, string] => [text.slice(0, at), text.slice(at + 1)];

/**
 * The cookie that keeps a token until the browser is closed: scripts cannot read it, and no other site can have it
 * sent.
 * @throws RequestError `bad-request` for a token that no cookie can hold
 */
export function sessionCookie(request: IncomingMessage, token: string): string {
  if (token.length > MAX_COOKIE_CHARS) {
    throw new RequestError(
      'bad-request',
      `a browser keeps tokens of ${MAX_COOKIE_CHARS} characters at most, and this one has ${token.length}`,
    );
  }
  return cookieOf(token, isOverTls(request));
}

/** The cookies that remove the token: over TLS also that of an earlier page without. */
export const noSessionCookies = (request: IncomingMessage): string[] =>
  (isOverTls(request) ? [true, false] : [false]).map((isSecure) => `${cookieOf('', isSecure)}; Max-Age=0`);

const cookieOf = (value: string, isSecure: boolean): string =>
  `${isSecure ? SECURE_COOKIE : COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;

/** Whether the page was loaded over TLS: from this server, or from a proxy in front, as the browser says itself. */
const isOverTls = ({ socket, headers }: IncomingMessage): boolean =>
  socket instanceof TLSSocket || headers.origin?.startsWith('https://') === true;
