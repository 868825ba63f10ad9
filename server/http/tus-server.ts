import type { ServerResponse } from 'node:http';
import { type DataStore, Server, type ServerOptions } from '@tus/server';
import { RequestError } from '../contract/errors.js';
import { codeOf, problemOf } from '../contract/problems.js';
import { problemText, retryAfter } from './problem.js';

/** The codes of tus's own errors, by status; every other 4xx, and 501, is a bad request. */
const CODES: Readonly<Record<number, RequestError['code']>> = {
  404: 'not-found',
  409: 'conflict',
  410: 'not-found',
  412: 'wrong-protocol',
  413: 'too-large',
};

/** A tus server whose errors are `application/problem+json`, as those of all other routes. */
export class TusServer extends Server {
  constructor(
    options: Pick<ServerOptions, 'path' | 'maxSize' | 'relativeLocation' | 'allowedOrigins'> & {
      readonly datastore: DataStore;
    },
  ) {
    super({
      ...options,
      onResponseError: (request, error) => {
        if ('status_code' in error) return undefined; // tus's own: see `write`
        const { status } = problemOf(codeOf(error));
        const response = request.runtime?.node?.res as ServerResponse | undefined;
        const retry = retryAfter(status);
        if (retry !== null) response?.setHeader('Retry-After', retry);
        return { status_code: status, body: problemText(error) };
      },
    });
  }

  override write(
    context: Parameters<Server['write']>[0],
    headers: Headers,
    status: number,
    body = '',
  ): ReturnType<Server['write']> {
    if (status < 400) return super.write(context, headers, status, body);
    headers.set('Content-Type', 'application/problem+json');
    if (body.startsWith('{')) return super.write(context, headers, status, body);
    // A 500 is an error that tus did not expect: an internal one.
    const isRefusal = status < 500 || status === 501;
    const error = isRefusal ? new RequestError(CODES[status] ?? 'bad-request', body.trim()) : new Error(body);
    return super.write(context, headers, problemOf(codeOf(error)).status, problemText(error));
  }
}
