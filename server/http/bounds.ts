import type { RequestHandler } from 'express';
import { RequestError } from '../contract/errors.js';
import { PARAMETER_BOUNDS } from '../contract/parameters.js';

export const REQUEST_BOUNDS = { urlChars: 4000, headerChars: 4000 } as const;

/** The headers that are parsed, here or by a library, and their maximum lengths in characters. */
const MAX_HEADER_CHARS: Readonly<Record<string, number>> = {
  accept: 2000,
  authorization: 8000,
  cookie: 8000,
  prefer: 1000,
  range: 1000,
  'if-range': 200,
  'if-none-match': 2000,
  'cache-control': 1000,
  'content-type': 500,
  'idempotency-key': 255,
  'last-event-id': 20,
  origin: 500,
  'upload-metadata': REQUEST_BOUNDS.headerChars,
};

/** Refuses requests that are too long, before any of them is parsed, and expectations other than `100-continue`. */
export function boundRequests(): RequestHandler {
  return (request, _response, next) => {
    const { url } = request;
    if (url.length > REQUEST_BOUNDS.urlChars) {
      throw new RequestError(
        'address-too-long',
        `the URL has ${url.length} characters; at most ${REQUEST_BOUNDS.urlChars} characters are read`,
      );
    }
    const parameters = url.split('&').length;
    if (parameters > PARAMETER_BOUNDS.parameters) {
      throw new RequestError(
        'bad-request',
        `the query has ${parameters} parameters; at most ${PARAMETER_BOUNDS.parameters} are read`,
      );
    }
    for (const [name, max] of Object.entries(MAX_HEADER_CHARS)) {
      const value = request.headers[name];
      if (typeof value === 'string' && value.length > max) {
        throw new RequestError(
          'header-too-long',
          `header "${name}" has ${value.length} characters; at most ${max} are read`,
        );
      }
    }
    const { expect } = request.headers;
    if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
      throw new RequestError('bad-expectation', 'the only supported expectation is 100-continue');
    }
    next();
  };
}
