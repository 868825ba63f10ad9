import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { RequestHandler } from 'express';

const ids = new WeakMap<IncomingMessage, string>();
/** What a client or a proxy may name a request by. */
const GIVEN = /^[\w.:-]{1,64}$/;

/** Gives each request an id, that of its `X-Request-Id` if it has one, and tells its client in the same header. */
export function identifyRequests(): RequestHandler {
  return (request, response, next) => {
    const given = request.get('X-Request-Id');
    const id = given !== undefined && GIVEN.test(given) ? given : randomUUID();
    ids.set(request, id);
    response.set('X-Request-Id', id);
    next();
  };
}

/** The id of a request, by which its lines in the logs are found. */
export const requestIdOf = (request: IncomingMessage): string => ids.get(request) ?? 'unknown';
