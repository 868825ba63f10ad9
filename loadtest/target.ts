import * as http from 'node:http';
import * as https from 'node:https';
import { Unseam } from '../client/index.js';
import { Exposition } from './measure/exposition.js';
import type { Ledger } from './measure/ledger.js';

export interface Request {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** The path with its query. */
  readonly path: string;
  /** Its name in the server's metrics, such as `/v1/jobs/:id`. */
  readonly route: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

export interface Reply {
  /** 0 for a request without a complete response. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
  /** Why there is no response; null if there is one. */
  readonly failure: string | null;
}

const TIMEOUT_MS = 300_000;

/** The server under load: sends requests over connections that stay open, and counts every response. */
export class Target {
  /** Jobs that were made and are still there, with the states in which they ended. */
  readonly jobs = new Map<string, string>();
  /** The typed client of the API; its requests are counted, too. Images are sent by `send`, which measures them. */
  readonly client: Unseam;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;

  constructor(
    readonly url: string,
    /** Sent as `Authorization: Bearer`; null for a server that needs none. */
    private readonly token: string | null,
    public ledger: Ledger,
  ) {
    const { Agent, request } = url.startsWith('https:') ? https : http;
    this.#agent = new Agent({ keepAlive: true });
    this.#request = request as typeof http.request;
    this.client = new Unseam({
      url,
      ...(token !== null && { token }),
      fetch: (input, init) => this.#fetch(input, init),
    });
  }

  /** The headers of every request. */
  get headers(): Record<string, string> {
    return this.token === null ? {} : { authorization: `Bearer ${this.token}` };
  }

  /** Sends a request; never rejects. */
  async send(request: Request): Promise<Reply> {
    for (;;) {
      const { reply, isStale } = await this.#sendOnce(request);
      // The server had closed the idle connection before it read anything: not a failure of the server.
      if (isStale) continue;
      if (reply.status !== 0) this.ledger.countRequest(request.method, request.route, reply.status);
      return reply;
    }
  }

  /** @throws Error if `/metrics` cannot be read */
  async metrics(): Promise<Exposition> {
    const { status, body, failure } = await this.send({ method: 'GET', path: '/metrics', route: '/metrics' });
    if (status !== 200) throw new Error(`GET /metrics: ${failure ?? `status ${status}`}`);
    return new Exposition(body.toString());
  }

  close(): void {
    this.#agent.destroy();
  }

  async #fetch(input: Parameters<typeof fetch>[0], init?: RequestInit): Promise<Response> {
    const response = await fetch(input, init);
    const { pathname } = new URL(response.url);
    this.ledger.countRequest(init?.method ?? 'GET', routeOf(pathname), response.status);
    return response;
  }

  #sendOnce({ method, path, headers, body }: Request): Promise<{ reply: Reply; isStale: boolean }> {
    return new Promise((resolve) => {
      const fail = (error: Error, isStale: boolean) =>
        resolve({
          reply: { status: 0, headers: {}, body: Buffer.alloc(0), failure: error.message },
          isStale,
        });
      const length = body === undefined ? {} : { 'content-length': String(body.length) };
      const request = this.#request(
        `${this.url}${path}`,
        { method, agent: this.#agent, headers: { ...this.headers, ...length, ...headers } },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('error', (error) => fail(error, false));
          response.on('end', () => {
            const reply = { headers: response.headers, body: Buffer.concat(parts), failure: null };
            resolve({ reply: { status: response.statusCode ?? 0, ...reply }, isStale: false });
          });
        },
      );
      request.setTimeout(TIMEOUT_MS, () => request.destroy(new Error(`silent for ${TIMEOUT_MS / 1000} s`)));
      request.on('error', (error: NodeJS.ErrnoException) =>
        fail(error, request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE')),
      );
      request.end(body);
    });
  }
}

/** The pattern of a path: the ids of jobs are UUIDs. */
export const routeOf = (path: string): string => path.replace(/\/[\da-f]{8}-[\da-f-]{27}(?=\/|$)/, '/:id');
