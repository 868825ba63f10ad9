import type { RequestHandler } from 'express';
import type { Uploads } from '../uploads.js';

const METHODS = ['OPTIONS', 'POST', 'HEAD', 'PATCH', 'DELETE'];

/** `/v1/uploads`: resumable uploads by the tus protocol. */
export function uploadRoute(uploads: Uploads): RequestHandler {
  return (request, response, next) => {
    if (!METHODS.includes(request.method)) return next();
    request.url = request.originalUrl; // tus reads the whole path
    response.set('Tus-Resumable', '1.0.0'); // our own error responses have it, too
    return uploads.handle(request, response);
  };
}
