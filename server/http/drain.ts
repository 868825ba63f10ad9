import { setMaxListeners } from 'node:events';
import type { Request, RequestHandler, Response } from 'express';
import { RequestError } from '../contract/errors.js';
import { WATCHED } from './guard.js';
import { sendProblem } from './problem.js';

/**
 * The end of a server's service: what comes is turned away, what is in flight is finished, until it has had
 * its time. The server listens meanwhile, so that who watches it sees why it takes nothing.
 */
export class Drain {
  readonly #inFlight = new Map<Response, Request>();
  readonly #ended = new AbortController();
  #empty: () => void = () => undefined;
  #draining = false;

  constructor() {
    setMaxListeners(0, this.#ended.signal); // every request in flight listens; more than ten are no leak
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Aborts when what is in flight has had its time. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  handler(): RequestHandler {
    return (request, response, next) => {
      if (this.#draining) response.set('Connection', 'close');
      if (WATCHED.includes(request.path)) return next();
      if (this.#draining) throw stopping();
      this.#inFlight.set(response, request);
      response.once('close', () => {
        this.#inFlight.delete(response);
        if (this.#inFlight.size === 0) this.#empty();
      });
      next();
    };
  }

  /** Turns away what comes from now on; connections end with what is in flight on them. */
  begin(): void {
    this.#draining = true;
    for (const response of this.#inFlight.keys()) response.shouldKeepAlive = false;
  }

  /** Resolves when nothing is in flight any more. */
  finished(): Promise<void> {
    if (this.#inFlight.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#empty = resolve;
    });
  }

  /** Ends what is left: what is being received is answered here, what is waited for by who waits for it. */
  end(): void {
    this.#ended.abort(stopping());
    for (const [response, request] of this.#inFlight)
      if (!request.complete && !response.headersSent) sendProblem(request, response, stopping());
  }
}

const stopping = (): RequestError => new RequestError('draining', 'the server is stopping: ask again later');
