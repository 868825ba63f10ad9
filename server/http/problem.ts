import type { ErrorRequestHandler, Request, Response } from 'express';
import type { Logger } from 'pino';
import { RequestError } from '../contract/errors.js';
import { withoutNames } from '../contract/private-names.js';
import { codeOf, detailOf, type Problem, problemOf, TRANSIENT } from '../contract/problems.js';
import { requestIdOf } from './request-id.js';

/** The seconds after which a client may retry. */
const RETRY_AFTER_S = 2;
/** How long a connection stays open after an early error response, in ms: a client that still sends can read it. */
export const LINGER_MS = 1000;

/**
 * An error as `application/problem+json` (RFC 9457).
 * @param members that the problem has in addition. Default none
 */
export function problemText(error: unknown, members: Readonly<Record<string, string>> = {}): string {
  const { code, status, title } = problemOf(codeOf(error));
  const detail = detailOf(error);
  return JSON.stringify({ type: `urn:unseam:problem:${code}`, title, status, detail, ...members });
}

/** Clients of the Open Inference Protocol show the member `error`, and nothing else. */
const inferenceMembers = ({ path }: Request, error: unknown): Readonly<Record<string, string>> =>
  /^\/v2(\/|$)/.test(path) ? { error: detailOf(error) } : {};

/** The value of `Retry-After` with an error; null where a retry would fail alike. */
export const retryAfter = ({ code, status }: Pick<Problem, 'code' | 'status'>): string | null =>
  TRANSIENT.has(status) && code !== 'quota-exceeded' ? String(RETRY_AFTER_S) : null;

/** Sends an error as `application/problem+json`. */
export function sendProblem(request: Request, response: Response, error: unknown): void {
  const problem = problemOf(codeOf(error));
  const { status } = problem;
  if (response.headersSent) {
    request.socket.destroy();
    return;
  }
  const retry = retryAfter(problem);
  if (retry !== null && response.get('Retry-After') === undefined) response.set('Retry-After', retry);
  if (!request.complete) {
    // The rest of the body is discarded. Closing at once could reset the connection before the response is read.
    response.set('Connection', 'close');
    request.resume();
    response.once('finish', () => setTimeout(() => request.socket.destroy(), LINGER_MS).unref());
  }
  response
    .status(status)
    .type('application/problem+json')
    .send(problemText(error, inferenceMembers(request, error)));
}

/** Turns express's errors of paths that are no UTF-8, and of JSON bodies, into errors with a code. */
function withCode(error: unknown): unknown {
  if (error instanceof URIError)
    return new RequestError('bad-request', 'the path is not percent-encoded UTF-8');
  const { type, message } = error as { readonly type?: unknown; readonly message?: string };
  const ofBody = typeof type === 'string' && /^(entity|encoding|charset|request)\./.test(type);
  const code = type === 'entity.too.large' ? 'too-large' : 'bad-request';
  return ofBody ? new RequestError(code, `the JSON body cannot be read: ${message}`) : error;
}

/**
 * Handles what routes throw: logs it, as an error if it is the server's, and responds with the problem.
 * @param privateNames whether neither may have the names of images
 * @param onProblem called with the code
 */
export function problemHandler(
  log: Logger,
  privateNames = false,
  onProblem: (code: string) => void = () => {},
): ErrorRequestHandler {
  return (thrown: unknown, request, response, _next) => {
    const error = withCode(thrown);
    const code = codeOf(error);
    onProblem(code);
    const of = { request: requestIdOf(request), path: privateNames ? patternOf(request) : request.path };
    if (problemOf(code).status >= 500) log.error({ err: error, ...of }, 'request failed');
    else log.info({ code, ...of, ...(!privateNames && { detail: detailOf(error) }) }, 'request refused');
    sendProblem(request, response, privateNames ? withoutNames(error, namesIn(request)) : error);
  };
}

/** The route of a request: what its client wrote may be anything. */
const patternOf = ({ route }: Request): string => (route as { path?: string } | undefined)?.path ?? 'none';

/** The paths and addresses in a request's body and query. */
function namesIn({ body, query }: Request): string[] {
  const { source, 'skip-background': mask }: Readonly<Record<string, unknown>> = { ...query, ...body };
  const sources = typeof source === 'object' && source !== null ? Object.values(source) : [];
  return [mask, ...sources].filter((name) => typeof name === 'string');
}
