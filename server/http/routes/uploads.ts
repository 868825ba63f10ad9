import type { Request, Response } from 'express';
import type { Operate } from '../operate.js';
import type { Uploads } from '../uploads.js';

/** `/v1/uploads`: resumable uploads by the tus protocol. */
export function uploadRoutes(operate: Operate, uploads: Uploads): void {
  const handle = (request: Request, response: Response) => {
    response.set('Tus-Resumable', '1.0.0'); // our own error responses have it, too
    return uploads.handle(request, response);
  };
  operate('getUploadOptions', handle);
  operate('createUpload', handle);
  operate('getUpload', handle);
  operate('continueUpload', handle);
  operate('deleteUpload', handle);
}
