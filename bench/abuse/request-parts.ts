import type { Random } from './random.js';
import type { Exchange } from './raw-http.js';

/**
 * What a request is, and so what must come of it:
 * - `served`: it is sound: 2xx or 3xx;
 * - `refused`: a named 4xx;
 * - `either`: one of these;
 * - `malformed`: it is no HTTP: any 4xx, or the connection ends;
 * - `nothing`: its client has left, and only the server's health matters.
 */
export type RequestExpectation = 'served' | 'refused' | 'either' | 'malformed' | 'nothing';

export interface RequestMutation extends Exchange {
  readonly what: string;
  readonly expect: RequestExpectation;
}

/** What requests are made of. */
export interface Targets {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  readonly model: string;
  /** A small PNG. */
  readonly image: Buffer;
  /** A job that has ended. */
  readonly job: string;
  /** A file of the slides' folder. */
  readonly slide: string;
}

export type Make = (targets: Targets, random: Random) => RequestMutation;

interface Parts {
  readonly method?: string;
  readonly path: string;
  readonly headers?: readonly string[];
  readonly body?: Buffer | string;
  readonly host?: string | null;
  readonly length?: string | null;
  /** Whether another request follows on the connection. */
  readonly last?: boolean;
}

export function request(
  { host: own }: Targets,
  { method = 'GET', path, headers = [], body, host = own, length, last = true }: Parts,
): Buffer {
  const bytes = Buffer.from(body ?? '');
  const said = length === undefined ? (body === undefined ? null : String(bytes.length)) : length;
  const lines = [
    `${method} ${path} HTTP/1.1`,
    ...(host === null ? [] : [`Host: ${host}`]),
    `Connection: ${last ? 'close' : 'keep-alive'}`,
    ...(said === null ? [] : [`Content-Length: ${said}`]),
    ...headers,
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]);
}

export const waits = (
  what: string,
  send: Buffer,
  expect: RequestExpectation,
  head = false,
): RequestMutation => {
  return { what, send: [send], next: 'wait', expect, head };
};

export const POSTS = ['/v1/segment', '/v1/jobs', '/v1/plan'];
/** Names of parameters, and what is none. */
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
