import type { ErrorRequestHandler, Request, Response } from 'express';
import { RequestError } from '../contract/errors.js';
import { withoutNames } from '../contract/private-names.js';
import { codeOf, detailOf, type Problem, problemOf, TRANSIENT } from '../contract/problems.js';
import type { ProblemReporter } from './problem-reporter.js';

/** The seconds after which a client may retry. */
const RETRY_AFTER_S = 2;
/** How long a connection stays open after an early error response, in ms: a client that still sends can read it. */
export const LINGER_MS = 1000;

/**
 * An error as `application/problem+json` (RFC 9457).
 * @param members additional members of the problem. Default none
 */
export function problemText(error: unknown, members: Readonly<Record<string, string>> = {}): string {
  const { code, status, title } = problemOf(codeOf(error));
  const detail = detailOf(error);
  return JSON.stringify({ type: `urn:unseam:problem:${code}`, title, status, detail, ...members });
}

/** Clients of the Open Inference Protocol show the member `error`, and nothing else. */
const inferenceMembers = ({ path }: Request, error: unknown): Readonly<Record<string, string>> =>
  /^\/v2(\/|$)/.test(path) ? { error: detailOf(error) } : {};

/** The value of `Retry-After` with an error; null if a retry would fail in the same way. */
export const retryAfter = ({ code, status }: Pick<Problem, 'code' | 'status'>): string | null =>
  TRANSIENT.has(status) && code !== 'quota-exceeded' ? String(RETRY_AFTER_S) : null;

/**
 * Reports an error, and sends it as `application/problem+json`; if a response has begun, its connection is closed
 * instead.
 */
export function sendProblem(
  request: Request,
  response: Response,
  thrown: unknown,
  reporter: ProblemReporter,
): void {
  reporter.report(thrown, request);
  const error = reporter.hidesNames ? withoutNames(thrown, namesIn(request)) : thrown;
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

/** Responds to errors that routes throw. */
export const problemHandler =
  (reporter: ProblemReporter): ErrorRequestHandler =>
  (thrown: unknown, request, response, _next) =>
    sendProblem(request, response, withCode(thrown), reporter);

/** The paths and addresses in a request's body and query. */
function namesIn({ body, query }: Request): string[] {
  const { source, 'skip-background': mask }: Readonly<Record<string, unknown>> = { ...query, ...body };
  const sources = typeof source === 'object' && source !== null ? Object.values(source) : [];
  return [mask, ...sources].filter((name) => typeof name === 'string');
}
