import type { RequestHandler } from 'express';
import { RequestError } from '../contract/errors.js';

const MOST = { addressChars: 4000, queryParameters: 100 } as const;

/** Headers that are parsed, here or by a library, and the characters that each may have. */
const HEADER_CHARS: Readonly<Record<string, number>> = {
  accept: 2000,
  prefer: 1000,
  range: 1000,
  'if-range': 200,
  'if-none-match': 2000,
  'cache-control': 1000,
  'content-type': 500,
  'idempotency-key': 255,
  'last-event-id': 20,
  origin: 500,
  'upload-metadata': 4000,
};

/** Refuses what is longer than anyone needs, before any of it is parsed, and what cannot be expected. */
export function boundedRequests(): RequestHandler {
  return (request, _response, next) => {
    const { url } = request;
    if (url.length > MOST.addressChars) {
      throw new RequestError(
        'address-too-long',
        `the address has ${url.length} characters; ${MOST.addressChars} characters are read`,
      );
    }
    const parameters = url.split('&').length;
    if (parameters > MOST.queryParameters) {
      throw new RequestError(
        'bad-request',
        `the address has ${parameters} parameters; ${MOST.queryParameters} are read`,
      );
    }
    for (const [name, most] of Object.entries(HEADER_CHARS)) {
      const value = request.headers[name];
      if (typeof value === 'string' && value.length > most) {
        throw new RequestError(
          'header-too-long',
          `header "${name}" has ${value.length} characters; ${most} are read`,
        );
      }
    }
    const { expect } = request.headers;
    if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
      throw new RequestError('bad-expectation', 'of "Expect", 100-continue alone is known');
    }
    next();
  };
}
