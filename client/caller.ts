import type { Call, ResultOf, Route } from './operations.js';
import { problemOf } from './problem.js';

export interface ClientOptions {
  /** Origin of the server, such as `http://127.0.0.1:8080`. Default: that of the page. */
  readonly url?: string;
  /** Token of the caller; a page that has signed in needs none. */
  readonly token?: string;
  /** Default: the platform's own. */
  readonly fetch?: typeof fetch;
}

/** Sends requests, each with the parameters that the contract has for its operation. */
export class Caller {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #fetch: typeof fetch;

  constructor({ url = '', token, fetch: own }: ClientOptions = {}) {
    this.#url = url.replace(/\/+$/, '');
    this.#headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    this.#fetch = own ?? ((input, init) => fetch(input, init));
  }

  /**
   * Sends a request.
   * @throws ProblemError for a status of 400 or more; TypeError where the server cannot be reached
   */
  async send<Of extends Route>(route: Of, call: Call<Of>): Promise<Response> {
    const { path = {}, query = {}, json, headers, body, signal } = call as unknown as Untyped;
    const [method, template] = route.split(' ') as [string, string];
    const address = template.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(path[name] ?? ''),
    );
    return this.sendTo(method, `${address}${queryText(query)}`, {
      headers: { ...(json !== undefined && { 'Content-Type': 'application/json' }), ...headers },
      ...(json !== undefined && { body: JSON.stringify(json) }),
      ...(body !== undefined && { body }),
      ...(signal && { signal }),
    });
  }

  /** Sends a request to a path that the server has named. @throws as `send` */
  async sendTo(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const response = await this.#fetch(`${this.#url}${path}`, {
      ...init,
      method: method.toUpperCase(),
      headers: { ...this.#headers, ...(init.headers as Record<string, string>) },
    });
    if (response.status >= 400) throw await problemOf(response);
    return response;
  }

  /** Sends a request, and reads the JSON of its response. @throws as `send` */
  async json<Of extends Route>(route: Of, call: Call<Of>): Promise<ResultOf<Of>> {
    return (await (await this.send(route, call)).json()) as ResultOf<Of>;
  }
}

/** A call, whose types its route has checked. */
interface Untyped {
  readonly path?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: NonNullable<RequestInit['body']>;
  readonly signal?: AbortSignal;
}

/** A query with its question mark; lists are separated by commas, switches are 0 or 1. */
function queryText(query: Readonly<Record<string, unknown>>): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]): [string, string] => [
      name,
      typeof value === 'boolean' ? String(Number(value)) : String(value),
    ]);
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`;
}
