import type { Random } from './random.js';
import type { Exchange } from './raw-http.js';

/**
 * The response that a request requires:
 * - `served`: 2xx or 3xx, since the request is valid;
 * - `refused`: a documented 4xx;
 * - `either`: one of these;
 * - `malformed`: any 4xx or a closed connection, since the request is not valid HTTP;
 * - `nothing`: none, since the client disconnects; only the server's health matters.
 */
export type RequestExpectation = 'served' | 'refused' | 'either' | 'malformed' | 'nothing';

/** What a client sends, and the response that it requires. */
export interface RequestMutation extends Exchange {
  readonly what: string;
  readonly expect: RequestExpectation;
}

/** Existing things that requests refer to. */
export interface Targets {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  readonly model: string;
  /** A small PNG. */
  readonly image: Buffer;
  /** A job that has ended. */
  readonly job: string;
  /** A file in the `--slides` folder. */
  readonly slide: string;
}

/** Makes one kind of request; the same draws give the same request. */
export type RequestMutator = (targets: Targets, random: Random) => RequestMutation;

interface Parts {
  readonly method?: string;
  readonly path: string;
  readonly headers?: readonly string[];
  readonly body?: Buffer | string;
  /** The Host header; none if null. Default: the server's. */
  readonly host?: string | null;
  /** The Content-Length header; none if null. Default: the body's length, if there is one. */
  readonly length?: string | null;
  /** Whether this is the last request on its connection. Default: true. */
  readonly last?: boolean;
}

/** The bytes of an HTTP/1.1 request; nothing is checked or escaped. */
export function request(
  { host: own }: Targets,
  { method = 'GET', path, headers = [], body, host = own, length, last = true }: Parts,
): Buffer {
  const bytes = Buffer.from(body ?? '');
  const contentLength = length === undefined ? (body === undefined ? null : String(bytes.length)) : length;
  const lines = [
    `${method} ${path} HTTP/1.1`,
    ...(host === null ? [] : [`Host: ${host}`]),
    `Connection: ${last ? 'close' : 'keep-alive'}`,
    ...(contentLength === null ? [] : [`Content-Length: ${contentLength}`]),
    ...headers,
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}

/** A case that sends one request and waits for the response. */
export const sendAndWait = (
  what: string,
  send: Buffer,
  expect: RequestExpectation,
  head = false,
): RequestMutation => {
  return { what, send: [send], next: 'wait', expect, head };
};

/** The routes that take an image. */
export const POSTS = ['/v1/segment', '/v1/jobs', '/v1/plan'];
/** Names of parameters, and some that do not exist. */
export const PARAMETERS = [
  'model',
  'tile',
  'tta',
  'mpp',
  'page',
  'level',
  'channels',
  'z',
  't',
  'range',
  'skip-background',
  'simplify',
  'output',
  'format',
  'priority',
  'state',
  'limit',
  'after',
  'nonsense',
  '__proto__',
  'constructor',
  'toString',
];
