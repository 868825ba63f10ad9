import type { IncomingMessage } from 'node:http';
import type { Request } from 'express';
import type { Logger } from 'pino';
import { codeOf, detailOf, problemOf } from '../contract/problems.js';
import { requestIdOf } from './request-id.js';

/**
 * Where every problem is reported, whoever responds with it: logged, as an error if it is the server's, and counted. A
 * request is reported once, by its first problem: what fails because its connection was closed is none of its own.
 */
export class ProblemReporter {
  readonly #reported = new WeakSet<IncomingMessage>();
  #count: (code: string) => void = () => {};

  /** @param hidesNames whether the log may not have the names of images */
  constructor(
    private readonly log: Logger,
    readonly hidesNames = false,
  ) {}

  /** Has the problems counted from now on, by their codes: a server has metrics once it has its data folder. */
  countBy(count: (code: string) => void): void {
    this.#count = count;
  }

  /** @param request null where there are bytes that are none */
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

  /** Its route where names are hidden: what its client wrote may be anything. */
  #pathOf(request: IncomingMessage & Partial<Pick<Request, 'route' | 'path'>>): string {
    if (!this.hidesNames) return request.path ?? 'none';
    return (request.route as { path?: string } | undefined)?.path ?? 'none';
  }
}
