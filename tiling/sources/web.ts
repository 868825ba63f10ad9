import { SourceUnreachableError } from '../errors.js';

/** Time limit of one response, including its body. */
const TIMEOUT_MS = 60_000;

export interface WebRequest {
  /** What the request must stay within: the URL of a file, or of a folder with its trailing slash. */
  readonly scope: URL;
  readonly method?: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Fetches from another server: the only place where sources do. The URL is checked here, last: names inside a file,
 * such as chunk keys, could otherwise make requests to whatever this process can reach (SSRF). For the same
 * reason no redirect is followed.
 *
 * @throws SourceUnreachableError for a URL outside its scope, and for a server that does not respond
 */
export async function fetchWithin(
  url: URL,
  { scope, method = 'GET', headers = {}, signal }: WebRequest,
): Promise<Response> {
  const isFolder = scope.pathname.endsWith('/');
  const isInside = isFolder ? url.pathname.startsWith(scope.pathname) : url.pathname === scope.pathname;
  if (url.origin !== scope.origin || !isInside) {
    throw new SourceUnreachableError(
      `the image refers to ${url.host}, outside its own address: that is not read`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new SourceUnreachableError('addresses with a user name or a password are not allowed');
  }
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const aborts = signal ? AbortSignal.any([timeout, signal]) : timeout;
  try {
    return await fetch(url, { method, headers, redirect: 'error', signal: aborts });
  } catch (cause) {
    throw unreachable(cause, signal);
  }
}

/**
 * Reads a response's body of at most `maxBytes` bytes.
 * @throws SourceUnreachableError where it ends early
 * @returns null where it is longer
 */
export async function bodyOf(
  response: Response,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Uint8Array | null> {
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const part of response.body ?? []) {
      length += part.length;
      if (length > maxBytes) return null; // leaving the loop cancels the body
      parts.push(part);
    }
  } catch (cause) {
    throw unreachable(cause, signal);
  }
  return Buffer.concat(parts);
}

function unreachable(cause: unknown, signal: AbortSignal | undefined): SourceUnreachableError {
  signal?.throwIfAborted();
  const { message, cause: deeper } = cause as Error;
  const reason = deeper instanceof Error ? deeper.message : message;
  return new SourceUnreachableError(`the image's server cannot be reached: ${reason}`, { cause });
}
