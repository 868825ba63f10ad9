import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';

const ids = new WeakMap<IncomingMessage, string>();
/** Ids that are accepted from clients and proxies. */
const GIVEN = /^[\w.:-]{1,64}$/;

/** Gives each request an id, that of a valid `X-Request-Id` or a new one, and returns it in the same header. */
export function identifyRequests(): RequestHandler {
  return (request, response, next) => {
    const given = request.get('X-Request-Id');
    const id = given !== undefined && GIVEN.test(given) ? given : randomUUID();
    ids.set(request, id);
    response.set('X-Request-Id', id);
    next();
  };
}

/** The id of a request, which its log lines have. */
export const requestIdOf = (request: IncomingMessage): string => ids.get(request) ?? 'unknown';
