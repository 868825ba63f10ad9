import type { IncomingMessage } from 'node:http';
import type { Request } from 'express';
import type { Logger } from 'pino';
import { codeOf, detailOf, problemOf } from '../contract/problems.js';
import { requestIdOf } from './request-id.js';

/**
 * Reports every problem, whoever responds with it: logs it, as an error if it is the server's fault, and counts it. A
 * request is reported once, by its first problem: failures that follow from its closed connection are not counted.
 */
export class ProblemReporter {
  readonly #reported = new WeakSet<IncomingMessage>();
  #count: (code: string) => void = () => {};

  /** @param hidesNames whether names of images are kept out of the log */
  constructor(
    private readonly log: Logger,
    readonly hidesNames = false,
  ) {}

  /** Counts problems by code from now on: a server has metrics only once it has its data folder. */
  countBy(count: (code: string) => void): void {
    this.#count = count;
  }

  /** @param request null for bytes that are not an HTTP request */
  report(error: unknown, request: IncomingMessage | null): void {
    if (request !== null) {
      if (this.#reported.has(request)) return;
      this.#reported.add(request);
    }
    const code = codeOf(error);
    this.#count(code);
    const of = request === null ? {} : { request: requestIdOf(request), path: this.#pathOf(request) };
    if (problemOf(code).status >= 500) this.log.error({ err: error, ...of }, 'request failed');
    else
      this.log.info({ code, ...of, ...(!this.hidesNames && { detail: detailOf(error) }) }, 'request refused');
  }

  /** The path of a request, or its route where names are hidden: a client may put anything into a path. */
  #pathOf(request: IncomingMessage & Partial<Pick<Request, 'route' | 'path'>>): string {
    if (!this.hidesNames) return request.path ?? 'none';
    return (request.route as { path?: string } | undefined)?.path ?? 'none';
  }
}
