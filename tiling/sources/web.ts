import { SourceUnreachableError } from '../errors.js';

/** How long a server may take for one answer, its body included. */
const TIMEOUT_MS = 60_000;

export interface WebRequest {
  /** What the request must not leave: an origin, and the path of a file, or of a folder with its final slash. */
  readonly scope: URL;
  readonly method?: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The one place from which a source asks another server. An address is checked here, after all that a file
 * said of it: names inside a file, chunk keys among them, would otherwise lead to whatever the server can
 * reach. For the same reason no redirect is followed.
 *
 * @throws SourceUnreachableError for an address outside its scope, and for a server that does not answer
 */
export async function fetchWithin(
  url: URL,
  { scope, method = 'GET', headers = {}, signal }: WebRequest,
): Promise<Response> {
  const folder = scope.pathname.endsWith('/');
  const inside = folder ? url.pathname.startsWith(scope.pathname) : url.pathname === scope.pathname;
  if (url.origin !== scope.origin || !inside) {
    throw new SourceUnreachableError(`the image leads out of itself, to ${url.host}: that is not read`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new SourceUnreachableError('addresses with a name or a password in them are not read');
  }
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const ends = signal ? AbortSignal.any([timeout, signal]) : timeout;
  try {
    return await fetch(url, { method, headers, redirect: 'error', signal: ends });
  } catch (cause) {
    throw unreachable(cause, signal);
  }
}

/**
 * A body, of at most so many bytes.
 * @throws SourceUnreachableError where it breaks off
 * @returns null where there would be more
 */
export async function bodyOf(
  response: Response,
  most: number,
  signal?: AbortSignal,
): Promise<Uint8Array | null> {
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const part of response.body ?? []) {
      length += part.length;
      if (length > most) return null; // leaving the loop cancels the body
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
