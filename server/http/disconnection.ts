import type { Response } from 'express';
import { RequestError } from '../contract/errors.js';

/**
 * A signal that aborts when the client disconnects before it has its response.
 * @param ended aborts the signal too, with its own reason
 */
export function disconnection(response: Response, ended?: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort(ended?.reason);
  ended?.addEventListener('abort', abort);
  response.once('close', () => {
    ended?.removeEventListener('abort', abort);
    if (!response.writableFinished)
      controller.abort(new RequestError('cancelled', 'the client disconnected'));
  });
  return controller.signal;
}
